"""What `anzol bench` measures on the machine it runs on: workloads, limits in the same run, and that nothing was lost.

Nothing here is imported by ``import anzol``. All traffic stays on loopback; every process that is started is ended.
"""

select mark, canary from anzol_deployment

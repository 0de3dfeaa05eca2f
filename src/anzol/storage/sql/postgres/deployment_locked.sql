select mark, canary from anzol.deployment for update

select mark, canary from anzol.deployment

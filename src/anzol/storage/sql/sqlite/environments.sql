select name from anzol_environment

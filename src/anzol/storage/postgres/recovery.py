"""Holding back, taking back, sending again: pause, resume, cancel, resend, recover."""

"""Messaging gateways: one file for each, behind `trioqueue.ports.Gateway`."""

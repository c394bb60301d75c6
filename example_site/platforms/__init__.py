"""Stand-ins on loopback for marketing platforms that can only be had over the internet.

Each holds what it is asked against a contract (`contracts/`, written by us from public documentation), keeps state as the
platform documents it, and has its limits and its traps. The tests deliver to them, and so does `make demo CRM=mailchimp`.
"""

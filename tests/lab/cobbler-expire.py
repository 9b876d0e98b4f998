#!/usr/bin/env python3
"""Returns once a Cobbler has forgotten a token that is made now, and with it all that are older: cobbler-expire.py URL USER PASSWORD

Cobbler sweeps old tokens when somebody asks for one; asking for the token itself would keep it alive."""
import sys
import time
import xmlrpc.client

url, user, password = sys.argv[1:]
server = xmlrpc.client.ServerProxy(url, allow_none=True)
token = server.login(user, password)
for _ in range(240):
    time.sleep(0.25)
    server.token_check("nobody's")
    try:
        server.check_access(token, "modify_system")
    except xmlrpc.client.Fault as fault:
        sys.exit(0 if "invalid token" in fault.faultString else fault.faultString)
sys.exit("the token does not end")

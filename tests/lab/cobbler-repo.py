#!/usr/bin/env python3
"""Gives a Cobbler one yum repository: cobbler-repo.py URL USER PASSWORD NAME MIRROR [ARCH]. With MIRROR `-` only its arch is changed."""
import sys
import xmlrpc.client

url, user, password, name, mirror, *rest = sys.argv[1:]
server = xmlrpc.client.ServerProxy(url, allow_none=True)
token = server.login(user, password)
if server.has_item("repo", name):
    handle = server.get_item_handle("repo", name, token)
else:
    handle = server.new_repo(token)
    server.modify_repo(handle, "name", name, token)
fields = {"breed": "yum", "arch": rest[0] if rest else "x86_64"}
if mirror != "-":
    fields |= {"mirror": mirror, "mirror_type": "baseurl", "mirror_locally": True, "keep_updated": True, "createrepo_flags": "--quiet"}
for key, value in fields.items():
    assert server.modify_repo(handle, key, value, token), key
server.save_repo(handle, token)
server.logout(token)

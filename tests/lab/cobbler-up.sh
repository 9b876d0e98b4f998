#!/usr/bin/env bash
# A real cobblerd on loopback for one test, from Debian packages and PyPI. As root, on Debian 12.
#
#   cobbler-up.sh DIR PORT      prints one line of JSON once it answers: url, user, password, trees
#
# DIR is the test's own; all that Cobbler writes is below it: called again after cobbler-down.sh, it is the same server started anew. What is downloaded stays in $QD_LAB_CACHE (~/.cache/quarterdeck/lab), so
# that only the first start takes a minute. REPOSYNC_FLAGS replaces Cobbler's own flags; by default they lose noarch packages, as an
# installation does that nobody has touched. Exit 3: what it needs cannot be had here, and the last line of stderr says what.
set -euo pipefail
dir=${1:?directory} port=${2:?port}
cache=${QD_LAB_CACHE:-$HOME/.cache/quarterdeck/lab}
version=3.3.10 user=quarterdeck password=lab-password
token_seconds=${TOKEN_SECONDS:-3600}
flags=${REPOSYNC_FLAGS:---newest-only --delete --refresh --remote-time}
mkdir -p "$dir" "$cache"
dir=$(cd "$dir" && pwd) cache=$(cd "$cache" && pwd)
absent() { echo "$*" >&2; exit 3; }

# --- what it runs on --------------------------------------------------------------------------------------------------------------------
[ "$(id -u)" = 0 ] || absent "a cobblerd changes owners of files: it needs root"
for program in dnf createrepo_c python3; do command -v "$program" >/dev/null || absent "$program is not installed"; done
/usr/bin/python3 -c 'import librepo, ensurepip' 2>/dev/null || absent "python3-librepo or python3-venv is not installed"
exec 9>"$cache/lock"
flock 9
if [ ! -e "$cache/cobbler-$version.ready" ]; then
  rm -rf "$cache/venv" "$cache/sdist"
  { /usr/bin/python3 -m venv --system-site-packages "$cache/venv" &&
    timeout 300 "$cache/venv/bin/pip" install -q --disable-pip-version-check requests pyyaml netaddr Cheetah3 distro dnspython file-magic schema pymongo &&
    timeout 120 "$cache/venv/bin/pip" download -q --disable-pip-version-check --no-deps --no-build-isolation --no-binary :all: -d "$cache/sdist" "cobbler==$version"
  } >"$cache/pip.log" 2>&1 || absent "PyPI did not give Cobbler $version: $(tail -1 "$cache/pip.log")"
  touch "$cache/cobbler-$version.ready"
fi
flock -u 9

# --- a copy whose paths lie below DIR ---------------------------------------------------------------------------------------------------
etc=$dir/etc/cobbler lib=$dir/var/lib/cobbler www=$dir/www/cobbler
prepare() {
mkdir -p "$dir"/{src,bin,log,run}
tar -xzf "$cache/sdist/cobbler-$version.tar.gz" -C "$dir/src" --strip-components=1
mkdir -p "$etc" "$lib"/{collections,loaders,templates,snippets,scripts,jinja2,backup,grub_config} "$dir"/var/log/cobbler/{tasks,anamon,syslog} \
  "$www"/{repo_mirror,images,links,localmirror,distro_mirror,misc,pub,rendered,repo_profile,repo_system,svc} "$dir"/{tftpboot,share/cobbler,cache}
for kind in distro profile system repo image mgmtclass package file menu; do
  mkdir -p "$lib/collections/${kind}s" "$lib"/triggers/{add,delete}/"$kind"/{pre,post}
done
mkdir -p "$lib"/triggers/{change,task} "$lib"/triggers/sync/{pre,post} "$lib"/triggers/install/{pre,post,firstboot}
cp -a "$dir"/src/config/cobbler/. "$etc/"
cp -a "$dir/src/templates/etc/." "$etc/"
cp -a "$dir/src/config/cheetah/." "$etc/"
cp -a "$dir/src/config/cobbler/distro_signatures.json" "$lib/"
printf '[cobbler]\ngitdate = lab\ngitstamp = lab\nbuilddate = lab\nversion = %s\nversion_tuple = [%s]\n' "$version" "${version//./, }" >"$etc/version"
find "$dir/src/cobbler" "$dir/src/bin" "$etc" -type f -print0 | xargs -0 sed -i \
  -e "s#/etc/cobbler#$etc#g" -e "s#/var/lib/cobbler#$lib#g" -e "s#/var/log/cobbler#$dir/var/log/cobbler#g" \
  -e "s#/var/cache/cobbler#$dir/cache#g" -e "s#/usr/share/cobbler#$dir/share/cobbler#g"
# Debian calls it otherwise.
ln -sf "$(command -v createrepo_c)" "$dir/bin/createrepo"
sed -i -e "s#@@webroot@@#$dir/www#g" -e "s#@@tftproot@@#$dir/tftpboot#g" -e "s#@@[a-z_]*@@#$dir/none#g" \
  -e "s#^xmlrpc_port:.*#xmlrpc_port: $port#" -e "s#^restart_dhcp:.*#restart_dhcp: false#" -e "s#^restart_dns:.*#restart_dns: false#" \
  -e "s#^auth_token_expiration:.*#auth_token_expiration: $token_seconds#" \
  -e "s#^reposync_flags:.*#reposync_flags: \"$flags --setopt=cachedir=$dir/cache/dnf --setopt=persistdir=$dir/cache/persist --setopt=logdir=$dir/log --setopt=retries=1 --setopt=timeout=10\"#" \
  "$etc/settings.yaml"
printf '%s:Cobbler:%s\n' "$user" "$(python3 -c 'import hashlib, sys; print(hashlib.sha3_512(sys.argv[1].encode()).hexdigest())' "$password")" >"$etc/users.digest"
chmod 600 "$etc/users.digest"
touch "$dir/run/prepared"
}
[ -e "$dir/run/prepared" ] || prepare

# --- up ---------------------------------------------------------------------------------------------------------------------------------
export PATH=$dir/bin:$PATH PYTHONPATH=$dir/src PYTHONDONTWRITEBYTECODE=1
setsid "$cache/venv/bin/python" "$dir/src/bin/cobblerd" -F -c "$etc/settings.yaml" </dev/null >"$dir/log/cobblerd.out" 2>&1 9>&- &
echo $! >"$dir/run/cobblerd.pid"
for _ in $(seq 1 240); do
  if "$cache/venv/bin/python" -c 'import sys, xmlrpc.client; xmlrpc.client.ServerProxy(sys.argv[1]).login(*sys.argv[2:])' \
    "http://127.0.0.1:$port/" "$user" "$password" 2>/dev/null; then
    printf '{"url":"http://127.0.0.1:%s/","user":"%s","password":"%s","trees":"%s"}\n' "$port" "$user" "$password" "$www/repo_mirror"
    exit 0
  fi
  kill -0 "$(cat "$dir/run/cobblerd.pid")" 2>/dev/null || break
  sleep 0.25
done
tail -5 "$dir/log/cobblerd.out" >&2
absent "cobblerd did not begin to answer on port $port"

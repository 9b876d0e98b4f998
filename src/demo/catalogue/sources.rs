//! The source packages of the demo's distribution: a closed set, written by hand so that it reads like the real one.
//!
//! Dependencies: `@` stands for the source's own epoch:version-release; `pre:` marks an install-time one.
//! Files: `d:` directory, `c:` configuration, `g:` ghost, `doc:`, `lic:`, `l:LINK>TARGET` symlink, else a regular file
//! (mode 0755 below a `bin/`, 0644 elsewhere). `kb` is the payload's size, shared by its regular files.

use super::content::{Arch, Repo};

/// Who builds them.
pub(super) const PEOPLE: [&str; 5] = [
    "op-07 <op-07@ops.example>",
    "op-11 <op-11@ops.example>",
    "sec-02 <sec-02@ops.example>",
    "rel-01 <rel-01@ops.example>",
    "rel-04 <rel-04@ops.example>",
];
use Arch::{Noarch as N, X86_64 as X};
use Repo::{AppStream as A, BaseOS as B};

/// One source package.
#[derive(Debug)]
pub struct Source {
    pub name: &'static str,
    pub epoch: Option<u32>,
    pub version: &'static str,
    pub release: u32,
    pub repo: Repo,
    pub license: &'static str,
    /// `name:stream` of the module that it is part of.
    pub module: Option<&'static str>,
    pub subs: &'static [Sub],
}

/// One binary package of a source.
#[derive(Debug)]
pub struct Sub {
    pub name: &'static str,
    pub arch: Arch,
    pub summary: &'static str,
    pub kb: u16,
    pub requires: &'static [&'static str],
    pub provides: &'static [&'static str],
    pub files: &'static [&'static str],
}

type Strs = &'static [&'static str];

#[allow(clippy::too_many_arguments)]
const fn src(
    name: &'static str,
    epoch: Option<u32>,
    version: &'static str,
    release: u32,
    repo: Repo,
    license: &'static str,
    module: Option<&'static str>,
    subs: &'static [Sub],
) -> Source {
    Source { name, epoch, version, release, repo, license, module, subs }
}

const fn sub(name: &'static str, arch: Arch, summary: &'static str, kb: u16, requires: Strs, provides: Strs, files: Strs) -> Sub {
    Sub { name, arch, summary, kb, requires, provides, files }
}

/// Present from the first compose on.
#[rustfmt::skip]
pub const SOURCES: &[Source] = &[
    src("setup", None, "2.13.7", 10, B, "Public Domain", None, &[
        sub("setup", N, "A set of system configuration and setup files", 6, &[], &[], &["c:/etc/passwd", "c:/etc/group", "c:/etc/hosts", "c:/etc/profile", "doc:/usr/share/doc/setup/README"]),
    ]),
    src("filesystem", None, "3.16", 5, B, "Public Domain", None, &[
        sub("filesystem", X, "The basic directory layout for a Linux system", 2, &["pre:setup"], &[], &["d:/usr/bin", "d:/usr/lib64", "d:/usr/share/doc", "l:/bin>usr/bin", "l:/lib64>usr/lib64", "/usr/share/filesystem/layout"]),
    ]),
    src("basesystem", None, "11", 13, B, "Public Domain", None, &[
        sub("basesystem", N, "The skeleton package which defines a simple CentOS Stream system", 2, &["pre:filesystem", "pre:setup"], &[], &["doc:/usr/share/doc/basesystem/README"]),
    ]),
    src("centos-release", None, "9.0", 26, B, "GPLv2", None, &[
        sub("centos-stream-release", N, "CentOS Stream release files", 3, &["centos-stream-repos = @"], &["centos-release = @", "redhat-release = 9.0", "system-release = @", "system-release(releasever) = 9"], &["c:/etc/os-release", "c:/etc/centos-release", "l:/etc/redhat-release>centos-release"]),
        sub("centos-stream-repos", N, "CentOS Stream package repositories", 3, &["centos-gpg-keys = @"], &[], &["c:/etc/yum.repos.d/centos.repo", "c:/etc/yum.repos.d/centos-addons.repo"]),
        sub("centos-gpg-keys", N, "CentOS RPM keys", 4, &["filesystem >= 3.16"], &[], &["/etc/pki/rpm-gpg/RPM-GPG-KEY-centosofficial"]),
    ]),
    src("tzdata", None, "2026a", 1, B, "Public Domain", None, &[
        sub("tzdata", N, "Time zone data", 58, &[], &[], &["/usr/share/zoneinfo/UTC", "/usr/share/zoneinfo/America/Chicago", "/usr/share/zoneinfo/Europe/Berlin", "/usr/share/zoneinfo/Asia/Tokyo", "lic:/usr/share/licenses/tzdata/LICENSE"]),
    ]),
    src("glibc", None, "2.34", 178, B, "LGPLv2+ and GPLv2+", None, &[
        sub("glibc", X, "The GNU libc libraries", 60, &["glibc-common = @", "glibc-langpack = @", "pre:basesystem"], &["libc.so.6()(64bit)", "libc.so.6(GLIBC_2.2.5)(64bit)", "libc.so.6(GLIBC_2.34)(64bit)", "libm.so.6()(64bit)", "libm.so.6(GLIBC_2.29)(64bit)", "ld-linux-x86-64.so.2()(64bit)", "rtld(GNU_HASH)"], &["/usr/lib64/libc.so.6", "/usr/lib64/libm.so.6", "/usr/lib64/ld-linux-x86-64.so.2", "c:/etc/nsswitch.conf", "g:/etc/ld.so.cache"]),
        sub("glibc-common", X, "Common binaries and locale data for glibc", 38, &["glibc = @", "tzdata >= 2003a"], &[], &["/usr/bin/getent", "/usr/bin/locale", "/usr/bin/localedef", "/usr/bin/ldd"]),
        sub("glibc-minimal-langpack", X, "Minimal language packs for glibc", 2, &["glibc = @", "glibc-common = @"], &["glibc-langpack = @"], &["doc:/usr/share/doc/glibc-minimal-langpack/README"]),
    ]),
    src("ncurses", None, "6.2", 10, B, "MIT", None, &[
        sub("ncurses-base", N, "Descriptions of common terminals", 24, &[], &[], &["/usr/share/terminfo/x/xterm", "/usr/share/terminfo/x/xterm-256color", "/usr/share/terminfo/v/vt100", "/usr/share/terminfo/s/screen"]),
        sub("ncurses-libs", X, "Ncurses libraries", 46, &["ncurses-base = @"], &["libncursesw.so.6()(64bit)", "libtinfo.so.6()(64bit)"], &["/usr/lib64/libncursesw.so.6.2", "/usr/lib64/libtinfo.so.6.2", "l:/usr/lib64/libtinfo.so.6>libtinfo.so.6.2"]),
    ]),
    src("readline", None, "8.1", 4, B, "GPLv3+", None, &[
        sub("readline", X, "A library for editing typed command lines", 34, &["libtinfo.so.6()(64bit)"], &["libreadline.so.8()(64bit)"], &["/usr/lib64/libreadline.so.8.1", "doc:/usr/share/doc/readline/CHANGES"]),
    ]),
    src("bash", None, "5.1.8", 9, B, "GPLv3+", None, &[
        sub("bash", X, "The GNU Bourne Again shell", 52, &["filesystem >= 3", "libtinfo.so.6()(64bit)"], &["/bin/bash", "/bin/sh"], &["/usr/bin/bash", "l:/usr/bin/sh>bash", "/usr/bin/bashbug", "c:/etc/skel/.bashrc", "c:/etc/skel/.bash_profile", "lic:/usr/share/licenses/bash/COPYING"]),
    ]),
    src("zlib", None, "1.2.11", 41, B, "zlib and Boost", None, &[
        sub("zlib", X, "Compression and decompression library", 22, &[], &["libz.so.1()(64bit)", "libz.so.1(ZLIB_1.2.0)(64bit)"], &["/usr/lib64/libz.so.1.2.11", "l:/usr/lib64/libz.so.1>libz.so.1.2.11"]),
    ]),
    src("xz", None, "5.2.5", 8, B, "GPLv2+ and Public Domain", None, &[
        sub("xz", X, "LZMA compression utilities", 30, &["xz-libs = @", "/usr/bin/sh"], &[], &["/usr/bin/xz", "/usr/bin/xzgrep", "l:/usr/bin/unxz>xz"]),
        sub("xz-libs", X, "Libraries for decoding LZMA compression", 26, &[], &["liblzma.so.5()(64bit)", "liblzma.so.5(XZ_5.2)(64bit)"], &["/usr/lib64/liblzma.so.5.2.5"]),
    ]),
    src("pcre2", None, "10.40", 6, B, "BSD", None, &[
        sub("pcre2", X, "Perl-compatible regular expression library", 40, &["pcre2-syntax = @"], &["libpcre2-8.so.0()(64bit)"], &["/usr/lib64/libpcre2-8.so.0.11.0"]),
        sub("pcre2-syntax", N, "Documentation for PCRE2 regular expressions", 8, &[], &[], &["/usr/share/man/man3/pcre2syntax.3.gz"]),
    ]),
    src("libselinux", None, "3.6", 1, B, "Public Domain", None, &[
        sub("libselinux", X, "SELinux library and simple utilities", 28, &["libpcre2-8.so.0()(64bit)"], &["libselinux.so.1()(64bit)", "libselinux.so.1(LIBSELINUX_1.0)(64bit)"], &["/usr/lib64/libselinux.so.1", "d:/run/setrans"]),
    ]),
    src("coreutils", None, "8.32", 36, B, "GPLv3+", None, &[
        sub("coreutils", X, "A set of basic GNU tools commonly used in shell scripts", 56, &["coreutils-common = @", "libselinux.so.1()(64bit)", "libcrypto.so.3()(64bit)", "ncurses-libs >= 6.2"], &["/bin/cat", "/bin/env"], &["/usr/bin/cat", "/usr/bin/cp", "/usr/bin/env", "/usr/bin/ls", "/usr/bin/sha256sum", "/usr/bin/true"]),
        sub("coreutils-common", X, "coreutils common optional components", 20, &[], &[], &["c:/etc/DIR_COLORS", "/usr/share/info/coreutils.info.gz", "lic:/usr/share/licenses/coreutils-common/COPYING"]),
    ]),
    src("crypto-policies", None, "20260224", 1, B, "LGPLv2+", None, &[
        sub("crypto-policies", N, "System-wide crypto policies", 18, &[], &[], &["c:/etc/crypto-policies/config", "/usr/share/crypto-policies/DEFAULT/opensslcnf.txt", "/usr/share/crypto-policies/DEFAULT/gnutls.txt", "/usr/share/crypto-policies/FUTURE/opensslcnf.txt"]),
    ]),
    src("openssl", Some(1), "3.2.2", 6, B, "ASL 2.0", None, &[
        sub("openssl", X, "Utilities from the general purpose cryptography library with TLS", 42, &["openssl-libs(x86-64) = @", "coreutils", "libcrypto.so.3(OPENSSL_3.0.0)(64bit)"], &[], &["/usr/bin/openssl", "/usr/bin/make-dummy-cert", "doc:/usr/share/doc/openssl/NEWS.md"]),
        sub("openssl-libs", X, "A general purpose cryptography library with TLS implementation", 60, &["crypto-policies >= 20180730", "ca-certificates >= 2008-5", "libz.so.1()(64bit)"], &["libcrypto.so.3()(64bit)", "libcrypto.so.3(OPENSSL_3.0.0)(64bit)", "libssl.so.3()(64bit)", "libssl.so.3(OPENSSL_3.0.0)(64bit)"], &["/usr/lib64/libcrypto.so.3.2.2", "/usr/lib64/libssl.so.3.2.2", "c:/etc/pki/tls/openssl.cnf", "l:/usr/lib64/libssl.so.3>libssl.so.3.2.2"]),
    ]),
    src("ca-certificates", None, "2025.2.80_v9.0.304", 91, B, "Public Domain", None, &[
        sub("ca-certificates", N, "The Mozilla CA root certificate bundle", 54, &["pre:/usr/bin/sh", "pre:coreutils"], &["config(ca-bundle) = 1"], &["/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/usr/bin/update-ca-trust", "/usr/share/pki/ca-trust-source/ca-bundle.trust.p11-kit"]),
    ]),
    src("systemd", None, "252", 51, B, "LGPLv2+ and MIT and GPLv2+", None, &[
        sub("systemd", X, "System and service manager", 60, &["systemd-libs = @", "coreutils", "libselinux.so.1()(64bit)", "pre:/usr/bin/sh"], &["/usr/sbin/reboot", "syslog", "systemd-units = @"], &["/usr/lib/systemd/systemd", "/usr/bin/systemctl", "/usr/bin/journalctl", "c:/etc/systemd/system.conf", "c:/etc/systemd/journald.conf", "d:/usr/lib/systemd/system", "g:/var/log/wtmp"]),
        sub("systemd-libs", X, "systemd libraries", 44, &["libcrypto.so.3()(64bit)", "liblzma.so.5()(64bit)"], &["libsystemd.so.0()(64bit)", "libudev.so.1()(64bit)"], &["/usr/lib64/libsystemd.so.0.35.0", "/usr/lib64/libudev.so.1.7.5"]),
        sub("systemd-udev", X, "Rule-based device node and kernel event manager", 36, &["systemd(x86-64) = @", "libudev.so.1()(64bit)"], &["udev = 252"], &["/usr/bin/udevadm", "c:/etc/udev/udev.conf", "/usr/lib/udev/rules.d/50-udev-default.rules"]),
    ]),
    src("kernel", None, "5.14.0", 598, B, "GPLv2 and Redistributable", None, &[
        sub("kernel-core", X, "The Linux kernel", 60, &["pre:systemd >= 200", "pre:coreutils", "kernel-modules-core-uname-r = @"], &["kernel-core-uname-r = @", "kernel-uname-r = @"], &["/lib/modules/%V/vmlinuz", "/lib/modules/%V/System.map", "/lib/modules/%V/config", "g:/boot/initramfs-%V.img"]),
        sub("kernel-modules-core", X, "Core kernel modules to match the core kernel", 58, &["kernel-core-uname-r = @"], &["kernel-modules-core-uname-r = @", "kmod(ext4.ko)", "kmod(xfs.ko)", "kmod(virtio_net.ko)"], &["/lib/modules/%V/kernel/fs/ext4/ext4.ko.xz", "/lib/modules/%V/kernel/fs/xfs/xfs.ko.xz", "/lib/modules/%V/kernel/drivers/net/virtio_net.ko.xz"]),
        sub("kernel-modules", X, "Kernel modules to match the core kernel", 50, &["kernel-core-uname-r = @", "kernel-modules-core-uname-r = @"], &["kernel-modules-uname-r = @", "kmod(mlx5_core.ko)", "kmod(nfs.ko)"], &["/lib/modules/%V/kernel/drivers/net/ethernet/mellanox/mlx5_core.ko.xz", "/lib/modules/%V/kernel/fs/nfs/nfs.ko.xz"]),
    ]),
    src("curl", None, "7.76.1", 31, B, "MIT", None, &[
        sub("curl", X, "A utility for getting files from remote servers", 30, &["libcurl(x86-64) >= 7.76.1"], &["webclient"], &["/usr/bin/curl", "/usr/share/man/man1/curl.1.gz"]),
        sub("libcurl", X, "A library for getting files from web servers", 44, &["libssl.so.3()(64bit)", "libz.so.1()(64bit)"], &["libcurl.so.4()(64bit)"], &["/usr/lib64/libcurl.so.4.7.0"]),
    ]),
    src("rpm", None, "4.16.1.3", 37, B, "GPLv2+", None, &[
        sub("rpm", X, "The RPM package management system", 36, &["rpm-libs(x86-64) = @", "coreutils", "curl"], &["/bin/rpm"], &["/usr/bin/rpm", "/usr/bin/rpmkeys", "d:/var/lib/rpm", "g:/var/lib/rpm/rpmdb.sqlite", "/usr/lib/rpm/macros"]),
        sub("rpm-libs", X, "Libraries for manipulating RPM packages", 42, &["rpm = @", "libcrypto.so.3()(64bit)", "liblzma.so.5()(64bit)"], &["librpm.so.9()(64bit)", "librpmio.so.9()(64bit)"], &["/usr/lib64/librpm.so.9.1.3", "/usr/lib64/librpmio.so.9.1.3"]),
    ]),
    src("python3.9", None, "3.9.21", 2, B, "Python", None, &[
        sub("python3", X, "Python 3.9 interpreter", 12, &["python3-libs(x86-64) = @"], &["python(abi) = 3.9", "python3.9 = @"], &["/usr/bin/python3.9", "l:/usr/bin/python3>python3.9"]),
        sub("python3-libs", X, "Python runtime libraries", 60, &["libcrypto.so.3()(64bit)", "libreadline.so.8()(64bit)", "libz.so.1()(64bit)"], &["libpython3.9.so.1.0()(64bit)"], &["/usr/lib64/libpython3.9.so.1.0", "/usr/lib64/python3.9/os.py", "/usr/lib64/python3.9/ssl.py", "d:/usr/lib64/python3.9/site-packages"]),
    ]),
    src("dnf", None, "4.14.0", 25, B, "GPLv2+", None, &[
        sub("dnf", N, "Package manager", 18, &["python3-dnf = @", "/usr/bin/python3"], &["dnf-command(makecache)", "dnf-command(repoquery)", "dnf-command(upgrade)"], &["/usr/bin/dnf-3", "l:/usr/bin/dnf>dnf-3", "/usr/share/bash-completion/completions/dnf"]),
        sub("dnf-data", N, "Common data and configuration files for DNF", 5, &[], &["dnf-conf"], &["c:/etc/dnf/dnf.conf", "d:/etc/dnf/modules.d", "g:/var/log/dnf.log"]),
        sub("python3-dnf", N, "Python 3 interface to DNF", 48, &["python(abi) = 3.9", "dnf-data = @", "librpm.so.9()(64bit)"], &["python3.9dist(dnf) = 4.14"], &["/usr/lib/python3.9/site-packages/dnf/base.py", "/usr/lib/python3.9/site-packages/dnf/sack.py"]),
    ]),
    src("sudo", None, "1.9.5p2", 10, B, "ISC", None, &[
        sub("sudo", X, "Allows restricted root access for specified users", 34, &["/etc/passwd", "libcrypto.so.3()(64bit)", "libselinux.so.1()(64bit)"], &[], &["/usr/bin/sudo", "/usr/bin/visudo", "c:/etc/sudoers", "d:/etc/sudoers.d"]),
    ]),
    src("openssh", None, "8.7p1", 45, B, "BSD", None, &[
        sub("openssh", X, "An open source implementation of SSH protocol version 2", 26, &["libcrypto.so.3()(64bit)", "crypto-policies >= 20220824"], &[], &["/usr/bin/ssh-keygen", "/usr/libexec/openssh/ssh-keysign", "c:/etc/ssh/moduli"]),
        sub("openssh-clients", X, "An open source SSH client applications", 36, &["openssh = @"], &["ssh-clients"], &["/usr/bin/ssh", "/usr/bin/scp", "c:/etc/ssh/ssh_config"]),
        sub("openssh-server", X, "An open source SSH server daemon", 32, &["openssh = @", "pre:systemd", "libsystemd.so.0()(64bit)"], &["ssh-server"], &["/usr/sbin/sshd", "c:/etc/ssh/sshd_config", "/usr/lib/systemd/system/sshd.service"]),
    ]),
    src("selinux-policy", None, "38.1.53", 2, B, "GPLv2+", None, &[
        sub("selinux-policy", N, "SELinux policy configuration", 14, &["libselinux >= 3.0", "/usr/bin/awk"], &["config(selinux) = 1"], &["c:/etc/selinux/config", "/usr/lib/rpm/macros.d/macros.selinux-policy"]),
        sub("selinux-policy-targeted", N, "SELinux targeted policy", 58, &["selinux-policy = @"], &["selinux-policy-base = @"], &["/usr/share/selinux/targeted/default/active/policy.kern", "d:/etc/selinux/targeted"]),
    ]),
    src("gawk", None, "5.1.0", 6, B, "GPLv3+", None, &[
        sub("gawk", X, "The GNU version of the AWK text processing utility", 36, &["libreadline.so.8()(64bit)", "filesystem >= 3"], &["/bin/awk", "awk = @"], &["/usr/bin/gawk", "l:/usr/bin/awk>gawk"]),
    ]),
    src("chrony", None, "4.6.1", 1, B, "GPLv2", None, &[
        sub("chrony", X, "An NTP client/server", 28, &["pre:systemd", "pre:/usr/bin/sh", "libcrypto.so.3()(64bit)"], &["ntp-daemon"], &["/usr/sbin/chronyd", "/usr/bin/chronyc", "c:/etc/chrony.conf", "d:/var/lib/chrony"]),
    ]),
    src("nginx", Some(2), "1.20.1", 22, A, "BSD", None, &[
        sub("nginx", X, "A high performance web server and reverse proxy server", 8, &["nginx-core = @", "nginx-filesystem = @", "pre:systemd"], &["webserver"], &["/usr/lib/systemd/system/nginx.service", "/usr/share/nginx/html/index.html", "c:/etc/logrotate.d/nginx"]),
        sub("nginx-core", X, "nginx minimal core", 50, &["nginx-filesystem = @", "libssl.so.3()(64bit)", "libpcre2-8.so.0()(64bit)", "libz.so.1()(64bit)"], &["nginx(abi) = 1.20.1"], &["/usr/sbin/nginx", "c:/etc/nginx/nginx.conf", "c:/etc/nginx/mime.types"]),
        sub("nginx-filesystem", N, "The basic directory layout for the Nginx server", 2, &["pre:/usr/bin/sh"], &[], &["d:/etc/nginx", "d:/etc/nginx/conf.d", "d:/usr/share/nginx", "/usr/share/doc/nginx-filesystem/layout"]),
    ]),
    src("httpd", None, "2.4.62", 4, A, "ASL 2.0", None, &[
        sub("httpd", X, "Apache HTTP Server", 10, &["httpd-core = @", "httpd-filesystem = @", "pre:systemd", "system-release"], &["webserver", "mod_dav = @"], &["/usr/lib/systemd/system/httpd.service", "c:/etc/httpd/conf.modules.d/00-base.conf", "c:/etc/logrotate.d/httpd"]),
        sub("httpd-core", X, "httpd minimal core", 56, &["httpd-filesystem = @", "httpd-tools = @", "libpcre2-8.so.0()(64bit)", "libselinux.so.1()(64bit)"], &["httpd-mmn = 20120211x8664"], &["/usr/sbin/httpd", "/usr/sbin/apachectl", "c:/etc/httpd/conf/httpd.conf"]),
        sub("httpd-filesystem", N, "The basic directory layout for the Apache HTTP Server", 2, &["pre:/etc/group"], &[], &["d:/etc/httpd", "d:/var/www", "d:/var/www/html", "/usr/share/doc/httpd-filesystem/layout"]),
        sub("httpd-tools", X, "Tools for use with the Apache HTTP Server", 18, &["libcrypto.so.3()(64bit)"], &[], &["/usr/bin/ab", "/usr/bin/htpasswd"]),
    ]),
    src("postgresql", None, "13.20", 1, A, "PostgreSQL", None, &[
        sub("postgresql", X, "PostgreSQL client programs", 40, &["libreadline.so.8()(64bit)", "libpq.so.5()(64bit)"], &[], &["/usr/bin/psql", "/usr/bin/pg_dump"]),
        sub("postgresql-server", X, "The programs needed to create and run a PostgreSQL server", 58, &["postgresql(x86-64) = @", "/usr/share/zoneinfo/UTC", "pre:systemd", "libpq.so.5()(64bit)"], &["postgresql-server(:MODULE_COMPAT_13)"], &["/usr/bin/postgres", "/usr/bin/initdb", "/usr/lib/systemd/system/postgresql.service", "d:/var/lib/pgsql"]),
        sub("libpq", X, "PostgreSQL client library", 26, &["libssl.so.3()(64bit)"], &["libpq.so.5()(64bit)"], &["/usr/lib64/libpq.so.5.13"]),
    ]),
    src("nodejs", Some(1), "20.19.1", 1, A, "MIT and ASL 2.0", Some("nodejs:20"), &[
        sub("nodejs", X, "JavaScript runtime", 60, &["libcrypto.so.3()(64bit)", "libz.so.1()(64bit)"], &["nodejs(abi) = 20", "nodejs(engine) = 20.19.1"], &["/usr/bin/node", "l:/usr/bin/nodejs>node"]),
        sub("npm", X, "Node.js package manager", 38, &["nodejs = @", "/usr/bin/env"], &["npm(npm) = 10.8.2"], &["/usr/bin/npm", "/usr/lib/node_modules/npm/package.json"]),
        sub("nodejs-docs", N, "Node.js API documentation", 20, &[], &[], &["doc:/usr/share/doc/nodejs-docs/api.html"]),
    ]),
    src("git", None, "2.47.1", 2, A, "GPLv2", None, &[
        sub("git", X, "Fast version control system", 8, &["git-core = @", "git-core-doc = @"], &[], &["/usr/libexec/git-core/git-instaweb"]),
        sub("git-core", X, "Core package of git with minimal functionality", 58, &["openssh-clients", "/usr/bin/sh", "libcurl.so.4()(64bit)", "libpcre2-8.so.0()(64bit)"], &["git-core(:protocol) = 2"], &["/usr/bin/git", "/usr/libexec/git-core/git-remote-http"]),
        sub("git-core-doc", N, "Documentation files for git-core", 16, &["git-core = @"], &[], &["doc:/usr/share/doc/git-core-doc/git.html"]),
    ]),
    src("vim", Some(2), "8.2.2637", 22, A, "Vim and MIT", None, &[
        sub("vim-common", X, "The common files needed by any version of the VIM editor", 44, &["vim-filesystem = @"], &[], &["c:/etc/vimrc", "/usr/share/vim/vim82/filetype.vim", "/usr/bin/xxd"]),
        sub("vim-enhanced", X, "A version of the VIM editor which includes recent enhancements", 40, &["vim-common = @", "libtinfo.so.6()(64bit)"], &["vim = @"], &["/usr/bin/vim", "l:/usr/bin/vimdiff>vim"]),
        sub("vim-filesystem", N, "VIM filesystem layout", 2, &[], &[], &["d:/usr/share/vim", "d:/usr/share/vim/vimfiles", "/usr/share/doc/vim-filesystem/layout"]),
    ]),
    src("podman", Some(6), "5.4.0", 3, A, "ASL 2.0", None, &[
        sub("podman", X, "Manage Pods, Containers and Container Images", 60, &["conmon >= 2:2.1", "oci-runtime", "libsystemd.so.0()(64bit)"], &["podman-manpages"], &["/usr/bin/podman", "/usr/lib/systemd/system/podman.socket"]),
    ]),
    src("conmon", Some(3), "2.1.12", 1, A, "ASL 2.0", None, &[
        sub("conmon", X, "OCI container runtime monitor", 20, &["libsystemd.so.0()(64bit)"], &[], &["/usr/bin/conmon"]),
    ]),
    src("crun", None, "1.20", 2, A, "GPLv2+", None, &[
        sub("crun", X, "OCI runtime written in C", 28, &["libsystemd.so.0()(64bit)", "container-selinux"], &["oci-runtime"], &["/usr/bin/crun"]),
    ]),
    src("container-selinux", Some(3), "2.235.0", 1, A, "GPLv2", None, &[
        sub("container-selinux", N, "SELinux policies for container runtimes", 10, &["selinux-policy-targeted >= 38.1", "pre:/usr/bin/sh"], &["docker-selinux = @"], &["/usr/share/selinux/packages/container.pp.bz2"]),
    ]),
    src("redis", None, "6.2.17", 1, A, "BSD and MIT", None, &[
        sub("redis", X, "A persistent key-value database", 48, &["pre:systemd", "pre:/etc/passwd", "libssl.so.3()(64bit)", "libsystemd.so.0()(64bit)"], &[], &["/usr/bin/redis-server", "/usr/bin/redis-cli", "c:/etc/redis/redis.conf", "d:/var/lib/redis"]),
    ]),
];

/// One of these enters with every compose after the first, and leaves again some composes later.
#[rustfmt::skip]
pub const VISITORS: &[Source] = &[
    src("jq", None, "1.6", 17, A, "MIT", None, &[sub("jq", X, "Command-line JSON processor", 16, &[], &[], &["/usr/bin/jq"])]),
    src("tmux", None, "3.2a", 5, B, "ISC", None, &[sub("tmux", X, "A terminal multiplexer", 24, &["libtinfo.so.6()(64bit)"], &[], &["/usr/bin/tmux"])]),
    src("lsof", None, "4.94.0", 3, B, "zlib", None, &[sub("lsof", X, "A utility which lists open files on a Linux/UNIX system", 14, &["libselinux.so.1()(64bit)"], &[], &["/usr/bin/lsof"])]),
    src("wget", None, "1.21.1", 8, A, "GPLv3+", None, &[sub("wget", X, "A utility for retrieving files using the HTTP or FTP protocols", 26, &["libssl.so.3()(64bit)"], &["webclient"], &["/usr/bin/wget", "c:/etc/wgetrc"])]),
    src("socat", None, "1.7.4.1", 6, A, "GPLv2", None, &[sub("socat", X, "Bidirectional data relay between two data channels", 20, &["libssl.so.3()(64bit)"], &[], &["/usr/bin/socat"])]),
    src("tree", None, "1.8.0", 10, B, "GPLv2+", None, &[sub("tree-pkg", X, "File system tree viewer", 6, &[], &["tree = @"], &["/usr/bin/tree"])]),
    src("iperf3", None, "3.9", 13, A, "BSD", None, &[sub("iperf3", X, "Measurement tool for TCP/UDP bandwidth performance", 12, &["libcrypto.so.3()(64bit)"], &[], &["/usr/bin/iperf3"])]),
    src("ansible-core", Some(1), "2.14.18", 1, A, "GPLv3+", None, &[sub("ansible-core", N, "SSH-based configuration management", 40, &["python(abi) = 3.9", "/usr/bin/python3", "openssh-clients"], &["ansible = @"], &["/usr/bin/ansible", "/usr/bin/ansible-playbook", "c:/etc/ansible/ansible.cfg"])]),
];

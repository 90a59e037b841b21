#!/bin/sh
# Install what {{ host }} needs for the cluster {{ cluster }}.
# Usage: ./install.sh [ROOT]   (ROOT: another root folder, for example a mounted image; default: this machine)
set -eu
unset CDPATH

# An empty argument, or ROOT in the environment, was meant as a folder: it must not become this machine.
if [ "$#" -gt 1 ] || [ "${1-/}" = "" ] || { [ "$#" -eq 0 ] && [ -n "${ROOT:-}" ]; }; then
    echo "Usage: ./install.sh [ROOT]" >&2
    echo "Installs the {{ count }} files of {{ host }}: without an argument on this machine (as root), or below the folder" >&2
    echo "ROOT, for example a mounted image. ROOT has to be an argument, not an environment variable." >&2
    exit 2
fi

here=$(cd "$(dirname "$0")" && pwd)
root=${1:-/}
mkdir -p -- "$root"
root=$(cd -- "$root" && pwd -P)
root=${root%/}
backup=$root{{ backups }}/$(date -u +%Y%m%dT%H%M%SZ)-$$

if [ -z "$root" ] && [ "$(id -u)" -ne 0 ]; then
    echo "install.sh: run as root: sudo ./install.sh" >&2
    exit 1
fi
echo "Installing the {{ count }} files of {{ host }} in ${root:-/ (this machine, $(uname -n))}"

# folder PATH: create a folder, but not where a link in ROOT leads out of it.
folder() {
    parent=$1
    while [ ! -d "$parent" ]; do parent=$(dirname "$parent"); done
    case $(cd "$parent" && pwd -P)/ in
        "$root"/*) mkdir -p "$1" ;;
        *) echo "install.sh: $parent is a link to a folder outside $root" >&2; exit 1 ;;
    esac
}

# put MODE PATH: install a file, and keep the one that it replaces.
put() {
    target=$root$2
    (umask 022 && folder "$(dirname "$target")")
    if [ -f "$target" ] && [ ! -L "$target" ] && cmp -s "$here$2" "$target"; then
        chmod "$1" "$target"
        echo "unchanged  $target"
        return
    fi
    if [ -e "$target" ] || [ -L "$target" ]; then
        (umask 077 && folder "$(dirname "$backup$2")" && mv "$target" "$backup$2")
        echo "backed up  $target -> $backup$2"
    fi
    install -m "$1" "$here$2" "$target"
    if [ "$(id -u)" -eq 0 ]; then chown root:root "$target"; fi
    echo "installed  $target"
}

{{ files }}{{ reload }}

#!/bin/sh
# with-env.sh COMMAND…: runs a command with the variables of .env, one NAME=value a line, where the
# environment has not set them. The file is read as data, never run as a script.
set -eu
if [ -f .env ]; then
    while IFS= read -r line || [ -n "$line" ]; do
        line=${line#export }
        case $line in '' | '#'* | [!A-Za-z_]*) continue ;; esac
        name=${line%%=*}
        value=${line#*=}
        case $name in *[!A-Za-z0-9_]* | "$line") continue ;; esac
        case $value in
        \"*\") value=${value#\"} && value=${value%\"} ;;
        \'*\') value=${value#\'} && value=${value%\'} ;;
        esac
        # Set already, be it to nothing: the environment wins.
        if ! env | grep -q "^$name="; then export "$name=$value"; fi
    done <.env
fi
exec "$@"

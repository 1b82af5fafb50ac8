#!/bin/sh
# As the official Flink image's: the name of a Flink process and its arguments, or any command to run as it is.
# Flink's settings are given as -Dkey=value; nothing is written to its configuration.
set -eu

case ${1:-help} in
standalone-job | jobmanager | taskmanager)
    process=$1
    shift
    exec "$FLINK_HOME/bin/$process.sh" start-foreground "$@"
    ;;
help)
    echo "usage: standalone-job|jobmanager|taskmanager [-Dkey=value…] [arguments of the process], or a command to run"
    ;;
*)
    exec "$@"
    ;;
esac

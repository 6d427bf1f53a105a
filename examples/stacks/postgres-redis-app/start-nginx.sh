#!/bin/sh
# Start nginx on a port of 127.0.0.1, in front of the application at HOST:PORT.
set -eu
port=$1 upstream=$2
PATH=$PATH:/usr/sbin # where Debian keeps nginx, and where PATH seldom leads
state=$PWD/.harness/nginx
mkdir -p "$state"
rm -f "$state/nginx.pid" # the health check looks for the one of this life
sed -e "s/@PORT@/$port/" -e "s/@UPSTREAM@/$upstream/" nginx.conf.in >"$state/nginx.conf"
exec nginx -e stderr -p "$state" -c "$state/nginx.conf"

while true; do nc -l -p 80 -e sh -c 'wget -qO- http://blue:8000/index.html >/tmp/page; printf "HTTP/1.0 200 OK\r\n\r\n"; cat /tmp/page'; done

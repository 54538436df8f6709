#!/usr/bin/env bash
# Certificates for Ray's TLS: an authority of the cluster's own, and one certificate for each node address.
#
#   certificates.sh FOLDER ADDRESS...     writes FOLDER/ca.key, which stays where it is, and for each node
#                                         FOLDER/ADDRESS/{ca.crt,node.crt,node.key}, which go to that node alone
#
# An authority that is there already is used again, so that nodes can be added. DAYS (365) is how long all are valid.
set -euo pipefail
umask 077

if [ $# -lt 2 ]; then
    echo "usage: $0 FOLDER ADDRESS..." >&2
    exit 2
fi
folder=$1
shift
days=${DAYS:-365}
mkdir -p "$folder"

if [ ! -e "$folder/ca.key" ]; then
    openssl req -x509 -newkey rsa:3072 -sha256 -nodes -days "$days" -subj "/CN=temper cluster authority" \
        -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign" \
        -keyout "$folder/ca.key" -out "$folder/ca.crt" 2>/dev/null
fi

for address in "$@"; do
    node=$folder/$address
    case $address in
        *[!0-9.]*) name="DNS:$address" ;; # IPv6 addresses are not handled
        *) name="IP:$address" ;;
    esac
    mkdir -p "$node"
    openssl req -newkey rsa:3072 -sha256 -nodes -subj "/CN=$address" \
        -keyout "$node/node.key" -out "$node/node.csr" 2>/dev/null
    openssl x509 -req -sha256 -days "$days" -in "$node/node.csr" -CA "$folder/ca.crt" -CAkey "$folder/ca.key" \
        -CAcreateserial -out "$node/node.crt" -extfile <(
            printf 'subjectAltName=%s,IP:127.0.0.1\nkeyUsage=digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\n' \
                "$name"
        ) 2>/dev/null
    rm "$node/node.csr"
    cp "$folder/ca.crt" "$node/ca.crt"
    echo "$node"
done

#!/bin/bash
# Gives a new installation its settings, and takes out the indexers of the list.
set -eu
folder=/config/Jackett
mkdir -p "$folder/Indexers"
if [[ ! -e $folder/ServerConfig.json ]]; then
    cp /defaults/ServerConfig.json "$folder/ServerConfig.json"
fi
while read -r name; do
    [[ -z $name || $name == \#* || $name == */* ]] && continue
    rm -f "$folder/Indexers/$name.json"
done < /indexer-blacklist.txt
chown -R "${PUID:-911}:${PGID:-911}" "$folder"

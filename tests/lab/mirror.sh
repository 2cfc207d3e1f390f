#!/bin/sh
# The mirror of Debian that this machine's apt uses, for folders of other suites.
mirror=$(apt-get indextargets --format '$(ORIGIN) $(RELEASE) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    awk '$1 == "Debian" && $2 !~ /security/ { print $3; exit }')
echo "${mirror:-http://deb.debian.org/debian}"

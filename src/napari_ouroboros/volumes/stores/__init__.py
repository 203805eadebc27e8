"""Where the bytes are: folders, web servers, buckets; addresses, logins, time limits."""

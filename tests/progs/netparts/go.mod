module gospect.test/netparts

go 1.18

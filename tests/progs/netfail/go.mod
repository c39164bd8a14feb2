module example.com/netfail

go 1.18

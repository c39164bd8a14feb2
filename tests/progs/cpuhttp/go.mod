module gospect.test/cpuhttp

go 1.19

module kodo-go

go 1.21

require github.com/qiniu/go-sdk/v7 v7.11.0

require golang.org/x/sync v0.0.0-20201207232520-09787c993a3a // indirect

// Uploads one file with the vendor's library: kodo-go WAY URL ACCESS SECRET BUCKET KEY PATH; WAY is form, v1 or v2. Prints the answer.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/qiniu/go-sdk/v7/auth/qbox"
	"github.com/qiniu/go-sdk/v7/storage"
)

func main() {
	way, host, access, secret, bucket, key, path := os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5], os.Args[6], os.Args[7]
	policy := storage.PutPolicy{Scope: bucket + ":" + key}
	token := policy.UploadToken(qbox.NewMac(access, secret))
	config := storage.Config{Zone: &storage.Zone{SrcUpHosts: []string{host}, CdnUpHosts: []string{host}}}
	ret, err := storage.PutRet{}, error(nil)
	switch way {
	case "form":
		err = storage.NewFormUploader(&config).PutFile(context.Background(), &ret, token, key, path, &storage.PutExtra{UpHost: host})
	case "v1":
		err = storage.NewResumeUploader(&config).PutFile(context.Background(), &ret, token, key, path, &storage.RputExtra{UpHost: host})
	case "v2":
		err = storage.NewResumeUploaderV2(&config).PutFile(context.Background(), &ret, token, key, path,
			&storage.RputV2Extra{UpHost: host, PartSize: 4 << 20})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(map[string]string{"hash": ret.Hash, "key": ret.Key})
}

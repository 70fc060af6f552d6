import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { createPresignedPost } from '@aws-sdk/s3-presigned-post';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import qiniu from 'qiniu';

const client = ({ endpoint, key, secret }) => new S3Client({
  endpoint, region: 'us-east-1', forcePathStyle: true, credentials: { accessKeyId: key, secretAccessKey: secret },
  requestChecksumCalculation: 'WHEN_REQUIRED',
});

export function put({ store, expires }, name, type, bound = {}, headers = []) {
  const command = new PutObjectCommand({ Bucket: store.bucket, Key: store.prefix + name, ContentType: type, ...bound });
  return getSignedUrl(client(store), command, {
    expiresIn: expires[0], signableHeaders: new Set(['host', 'content-type', ...headers]), unhoistableHeaders: new Set(headers),
  });
}

export function post({ store, expires }, name, type) {
  return createPresignedPost(client(store), {
    Bucket: store.bucket, Key: store.prefix + name, Conditions: [['content-length-range', 0, 1 << 30]], Expires: expires[0],
    Fields: { success_action_status: '201', 'Content-Type': type },
  });
}

export function token({ kodo: { ak, sk, bucket }, expires }, key) {
  const policy = new qiniu.rs.PutPolicy({ scope: `${bucket}:${key}`, expires: expires[0] });
  return policy.uploadToken(new qiniu.auth.digest.Mac(ak, sk));
}

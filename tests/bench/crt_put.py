"""Uploads $SRC with the S3 client of the AWS Common Runtime (aws-c-s3, Python package awscrt), no command line around it."""
import os
import sys
import threading

from awscrt import auth, http, io, s3

env = os.environ
tls = None
if env["SCHEME"] == "https":
    options = io.TlsContextOptions()
    options.override_default_trust_store_from_path(None, env["CA"])
    tls = io.ClientTlsContext(options).new_connection_options()
loops = io.EventLoopGroup(0)
bootstrap = io.ClientBootstrap(loops, io.DefaultHostResolver(loops))
credentials = auth.AwsCredentialsProvider.new_static(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"])
client = s3.S3Client(
    bootstrap=bootstrap, region="us-east-1", tls_connection_options=tls,
    signing_config=s3.create_default_s3_signing_config(region="us-east-1", credential_provider=credentials),
    tls_mode=s3.S3RequestTlsMode.ENABLED if tls else s3.S3RequestTlsMode.DISABLED,
    part_size=int(env["PART_MB"]) << 20, multipart_upload_threshold=65 << 20, throughput_target_gbps=100.0)
src = env["SRC"]
files = [src] if os.path.isfile(src) else [os.path.join(d, f) for d, _, names in os.walk(src) for f in names]
root = os.path.dirname(src) if os.path.isfile(src) else src
gate = threading.Semaphore(256)
bad = []


def put(path):
    def done(error=None, **_):
        if error:
            bad.append(error)
        gate.release()
    headers = http.HttpHeaders([("host", env["HOSTPORT"]), ("content-length", str(os.path.getsize(path))), ("content-type", "application/octet-stream")])
    request = http.HttpRequest("PUT", f"/bench-bucket/p/{os.path.relpath(path, root)}", headers)
    return client.make_request(request=request, type=s3.S3RequestType.PUT_OBJECT, operation_name="PutObject", send_filepath=path, on_done=done)


requests = []
for name in files:
    gate.acquire()
    requests.append(put(name).finished_future)
for future in requests:
    future.result()
sys.exit(1 if bad else 0)

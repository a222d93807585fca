# Makes key.pem and cert.pem: for localhost and its addresses, self-signed, valid for 30 days.
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1 -out key.pem
openssl req -x509 -new -key key.pem -out cert.pem -days 30 \
    -subj /CN=localhost -addext "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1"

// Gojudge answers, for each question on a line of standard input, what Go makes of PEM and DER: the libraries that
// every Kubernetes component reads certificates with. Questions and answers are JSON; bytes in them are base64.
package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

type question struct {
	Op    string    `json:"op"`
	Data  []byte    `json:"data"`
	Key   []byte    `json:"key"`
	Roots []byte    `json:"roots"`
	Usage string    `json:"usage"`
	Name  string    `json:"name"`
	Time  time.Time `json:"time"`
}

type block struct {
	Label   string `json:"label"`
	Headers int    `json:"headers"`
	DER     []byte `json:"der"`
}

type subject struct {
	CN string   `json:"cn"`
	O  []string `json:"o"`
	OU []string `json:"ou"`
}

type certificate struct {
	Version    int      `json:"version"`
	Serial     string   `json:"serial"`
	Subject    subject  `json:"subject"`
	Issuer     subject  `json:"issuer"`
	NotBefore  int64    `json:"not_before"`
	NotAfter   int64    `json:"not_after"`
	CA         *bool    `json:"ca"`
	PathLength *int     `json:"path_length"`
	KeyUsage   int      `json:"key_usage"`
	Purposes   int      `json:"purposes"`
	DNS        []string `json:"dns"`
	IPs        []string `json:"ips"`
	Emails     []string `json:"emails"`
	URIs       int      `json:"uris"`
	SKI        []byte   `json:"ski"`
	AKI        []byte   `json:"aki"`
	Key        string   `json:"key"`
	Unhandled  int      `json:"unhandled"`
	Signature  string   `json:"signature"`
}

type answer struct {
	Error        string        `json:"error,omitempty"`
	Blocks       []block       `json:"blocks,omitempty"`
	Certificates []certificate `json:"certificates,omitempty"`
	Request      *certificate  `json:"request,omitempty"`
}

func main() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	for {
		line, err := in.ReadBytes('\n')
		if len(line) == 0 && err != nil {
			return
		}
		var asked question
		if err := json.Unmarshal(line, &asked); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		said, _ := json.Marshal(reply(asked))
		out.Write(append(said, '\n'))
		if in.Buffered() == 0 {
			out.Flush()
		}
	}
}

func reply(asked question) (said answer) {
	var err error
	switch asked.Op {
	case "pem":
		said.Blocks = blocks(asked.Data)
	case "certificate":
		var cert *x509.Certificate
		if cert, err = x509.ParseCertificate(asked.Data); err == nil {
			said.Certificates = []certificate{describe(cert)}
		}
	case "certificates":
		var certs []*x509.Certificate
		certs, err = parseCertificates(asked.Data)
		for _, cert := range certs {
			said.Certificates = append(said.Certificates, describe(cert))
		}
	case "pool":
		if !x509.NewCertPool().AppendCertsFromPEM(asked.Data) {
			err = errors.New("no certificate in it was added")
		}
	case "request":
		said.Request, err = parseRequest(asked.Data)
	case "pair":
		_, err = tls.X509KeyPair(asked.Data, asked.Key)
	case "key":
		err = parsePrivateKey(asked.Data)
	case "verify":
		err = verify(asked)
	default:
		err = fmt.Errorf("unknown op %q", asked.Op)
	}
	if err != nil {
		said.Error = err.Error()
	}
	return said
}

func blocks(data []byte) []block {
	var all []block
	for {
		decoded, rest := pem.Decode(data)
		if decoded == nil {
			return all
		}
		all = append(all, block{strings.ToValidUTF8(decoded.Type, "?"), len(decoded.Headers), decoded.Bytes})
		data = rest
	}
}

// parseCertificates follows ParseCertsPEM of k8s.io/client-go/util/cert: blocks of another type and blocks with headers
// do not count, one bad certificate costs the whole file, and a file without any is an error.
func parseCertificates(data []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for {
		decoded, rest := pem.Decode(data)
		if decoded == nil {
			break
		}
		data = rest
		if decoded.Type == "CERTIFICATE" && len(decoded.Headers) == 0 {
			certs, err := x509.ParseCertificates(decoded.Bytes)
			if err != nil {
				return all, err
			}
			all = append(all, certs...)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("data does not contain any valid RSA or ECDSA certificates")
	}
	return all, nil
}

// parseRequest follows ParseCSR of k8s.io/kubernetes/pkg/apis/certificates, and checks the signature as the API server does.
func parseRequest(data []byte) (*certificate, error) {
	decoded, _ := pem.Decode(data)
	if decoded == nil || decoded.Type != "CERTIFICATE REQUEST" {
		return nil, errors.New("PEM block type must be CERTIFICATE REQUEST")
	}
	request, err := x509.ParseCertificateRequest(decoded.Bytes)
	if err != nil {
		return nil, err
	}
	said := describe(&x509.Certificate{
		Subject: request.Subject, DNSNames: request.DNSNames, IPAddresses: request.IPAddresses,
		EmailAddresses: request.EmailAddresses, URIs: request.URIs, PublicKey: request.PublicKey,
	})
	if err := request.CheckSignature(); err != nil {
		said.Signature = err.Error()
	}
	return &said, nil
}

// parsePrivateKey follows ParsePrivateKeyPEM of k8s.io/client-go/util/keyutil: the first block that is a key counts.
func parsePrivateKey(data []byte) error {
	for {
		decoded, rest := pem.Decode(data)
		if decoded == nil {
			return errors.New("data does not contain a valid RSA or ECDSA private key")
		}
		data = rest
		switch decoded.Type {
		case "EC PRIVATE KEY":
			if _, err := x509.ParseECPrivateKey(decoded.Bytes); err == nil {
				return nil
			}
		case "RSA PRIVATE KEY":
			if _, err := x509.ParsePKCS1PrivateKey(decoded.Bytes); err == nil {
				return nil
			}
		case "PRIVATE KEY":
			if _, err := x509.ParsePKCS8PrivateKey(decoded.Bytes); err == nil {
				return nil
			}
		}
	}
}

func verify(asked question) error {
	roots, err := parseCertificates(asked.Roots)
	if err != nil {
		return err
	}
	chain, err := parseCertificates(asked.Data)
	if err != nil {
		return err
	}
	options := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), DNSName: asked.Name, CurrentTime: asked.Time,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if asked.Usage == "client" {
		options.KeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	for _, root := range roots {
		options.Roots.AddCert(root)
	}
	for _, intermediate := range chain[1:] {
		options.Intermediates.AddCert(intermediate)
	}
	_, err = chain[0].Verify(options)
	return err
}

func describe(cert *x509.Certificate) certificate {
	said := certificate{
		Version: cert.Version, KeyUsage: int(cert.KeyUsage), Purposes: len(cert.ExtKeyUsage) + len(cert.UnknownExtKeyUsage),
		NotBefore: cert.NotBefore.Unix(), NotAfter: cert.NotAfter.Unix(),
		DNS: clean(cert.DNSNames), Emails: clean(cert.EmailAddresses), URIs: len(cert.URIs),
		SKI: cert.SubjectKeyId, AKI: cert.AuthorityKeyId, Unhandled: len(cert.UnhandledCriticalExtensions),
		Subject: subject{clean([]string{cert.Subject.CommonName})[0], clean(cert.Subject.Organization), clean(cert.Subject.OrganizationalUnit)},
		Issuer:  subject{clean([]string{cert.Issuer.CommonName})[0], clean(cert.Issuer.Organization), clean(cert.Issuer.OrganizationalUnit)},
	}
	if cert.SerialNumber != nil {
		said.Serial = cert.SerialNumber.Text(16)
	}
	for _, address := range cert.IPAddresses {
		said.IPs = append(said.IPs, address.String())
	}
	if cert.BasicConstraintsValid {
		said.CA = &cert.IsCA
		if cert.MaxPathLen >= 0 {
			said.PathLength = &cert.MaxPathLen
		}
	}
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		said.Key = fmt.Sprintf("rsa %d", key.N.BitLen())
	case *ecdsa.PublicKey:
		said.Key = "ec " + key.Params().Name
	case ed25519.PublicKey:
		said.Key = "ed25519"
	case nil:
	default:
		said.Key = "other"
	}
	if cert.Raw != nil {
		said.Signature = signature(cert)
	}
	return said
}

// signature says why no verifier that runs Go accepts a signature of this algorithm; empty where one does.
func signature(cert *x509.Certificate) string {
	switch cert.SignatureAlgorithm {
	case x509.UnknownSignatureAlgorithm, x509.DSAWithSHA1, x509.DSAWithSHA256:
		return "unknown"
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1:
		return "insecure"
	}
	return ""
}

func clean(values []string) []string {
	var all []string
	for _, value := range values {
		all = append(all, strings.ToValidUTF8(value, "?"))
	}
	return all
}

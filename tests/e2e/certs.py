"""Certificates for tests, made with the openssl command: one authority, servers, clients."""
import os
import subprocess


def openssl(*args):
    done = subprocess.run(["openssl", *args], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, f"openssl {args[0]}: {done.stderr}"


class Pair:
    """A certificate chain and its key, as file names."""

    def __init__(self, chain, key):
        self.chain, self.key = chain, key

    def config(self):
        return {"chain": self.chain, "key": self.key}


class Authority:
    def __init__(self, folder):
        os.makedirs(folder, exist_ok=True)
        self.folder = folder
        self.key = os.path.join(folder, "ca.key")
        self.ca = os.path.join(folder, "ca.pem")
        self.count = 0
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", self.key, "-out", self.ca, "-days", "3650", "-subj", "/CN=Test authority",
                "-addext", "basicConstraints=critical,CA:TRUE",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def server(self, *names, days=365, label=None):
        """A server certificate for these names ("localhost", "*.example.com", "127.0.0.1")."""
        subject = ",".join(f"IP:{name}" if name.replace(".", "").isdigit() else f"DNS:{name}"
                           for name in names)
        return self._issue(label or names[0].replace("*", "any"), names[0], days,
                           f"basicConstraints=CA:FALSE\nsubjectAltName={subject}\nextendedKeyUsage=serverAuth\n")

    def client(self, name, days=365, through=0, padding=0):
        """A client's certificate; `through` so many other authorities, with `padding` bytes more in it."""
        between = []
        for number in range(through):
            between.insert(0, self._issue(f"between-{number}", f"Between {number}", 3650,
                                          "basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\n", between))
        names = ",".join(f"DNS:{'a' * 60}" for _ in range(padding // 62))  # each has two bytes before it
        more = f"subjectAltName={names}\n" if names else ""
        return self._issue(f"client-{name}", name, days, "basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth\n" + more,
                           between)

    def _issue(self, label, common_name, days, extensions, between=()):
        """Signed by the first of `between`, which has the others above it, else by the authority itself."""
        self.count += 1
        base = os.path.join(self.folder, f"{label}-{self.count}")
        issuer, issuer_key = (between[0].chain, between[0].key) if between else (self.ca, self.key)
        with open(base + ".ext", "w") as file:
            file.write(extensions)
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                base + ".key", "-out", base + ".csr", "-subj", f"/CN={common_name}")
        openssl("x509", "-req", "-in", base + ".csr", "-CA", issuer, "-CAkey", issuer_key,
                "-CAcreateserial", "-out", base + ".crt", "-days", str(days), "-extfile", base + ".ext")
        chain = base + ".pem"
        with open(chain, "w") as out:
            for part in (base + ".crt", issuer):
                with open(part) as file:
                    out.write(file.read())
        return Pair(chain, base + ".key")

"""NAMESPACE NAME: delete a MarketPipeline and wait until the operator has taken it apart."""

import ssl
import sys
import time
import urllib.error
import urllib.request

FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"
URL = "https://kubernetes.default.svc/apis/marketpipeline.dev/v1alpha1/namespaces/{}/marketpipelines/{}"


def ask(method: str) -> int:
    with open(f"{FOLDER}/token", encoding="ascii") as file:
        headers = {"Authorization": f"Bearer {file.read()}"}
    asked = urllib.request.Request(URL.format(*sys.argv[1:]), headers=headers, method=method)
    try:
        with urllib.request.urlopen(asked, context=ssl.create_default_context(cafile=f"{FOLDER}/ca.crt")) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
        return error.code


ask("DELETE")
while ask("GET") != 404:
    time.sleep(1)

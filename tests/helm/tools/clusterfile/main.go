// clusterfile reads a file of ctlptl strictly: a field that ctlptl does not have, or in the part that it hands on one that
// kind does not have, and a value of another type, ends it with a message and status 1. What kind reads are kind's own
// types; ctlptl's are of its reference, since its module is not to be had everywhere.
//
//	clusterfile FILE
package main

import (
	"bytes"
	"fmt"
	"os"

	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"
	"sigs.k8s.io/yaml"
)

type head struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Name       string `json:"name"`
}

type registry struct {
	head
	Port          int               `json:"port"`
	ListenAddress string            `json:"listenAddress"`
	Image         string            `json:"image"`
	Labels        map[string]string `json:"labels"`
}

type cluster struct {
	head
	Product             string            `json:"product"`
	Registry            string            `json:"registry"`
	KubernetesVersion   string            `json:"kubernetesVersion"`
	MinCPUs             int               `json:"minCPUs"`
	KindV1Alpha4Cluster *v1alpha4.Cluster `json:"kindV1Alpha4Cluster"`
}

func main() {
	if len(os.Args) != 2 {
		fail(fmt.Errorf("usage: clusterfile FILE"))
	}
	content, err := os.ReadFile(os.Args[1])
	if err != nil {
		fail(err)
	}
	for number, document := range bytes.Split(content, []byte("\n---\n")) {
		if err := read(document); err != nil {
			fail(fmt.Errorf("document %d: %w", number+1, err))
		}
	}
}

func read(document []byte) error {
	var found head
	if err := yaml.Unmarshal(document, &found); err != nil {
		return err
	}
	if found.APIVersion != "ctlptl.dev/v1alpha1" {
		return fmt.Errorf("apiVersion is %q: ctlptl has ctlptl.dev/v1alpha1", found.APIVersion)
	}
	switch found.Kind {
	case "Cluster":
		return yaml.UnmarshalStrict(document, &cluster{})
	case "Registry":
		return yaml.UnmarshalStrict(document, &registry{})
	}
	return fmt.Errorf("kind is %q: ctlptl has Cluster and Registry", found.Kind)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

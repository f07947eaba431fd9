// Answers what UpdateWithSetters makes of some files; see README.md.
package main

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"sort"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	reflectorv1 "github.com/fluxcd/image-reflector-controller/api/v1"

	"github.com/fluxcd/image-automation-controller/internal/update"
)

type policy struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Image     string `json:"image"`
	Tag       string `json:"tag"`
	Digest    string `json:"digest"`
}

type change struct{ File, APIVersion, Kind, Namespace, Name, Old, New, Setter string }

type line struct {
	Name     string            `json:"name"`
	Files    map[string]string `json:"files"`
	Policies []policy          `json:"policies"`
	Changes  []change          `json:"changes"`
	Error    string            `json:"error"`
	Out      map[string]string `json:"out"`
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 1<<28)
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	for in.Scan() {
		var it line
		check(json.Unmarshal(in.Bytes(), &it))
		dir, err := os.MkdirTemp("", "oracle")
		check(err)
		for path, text := range it.Files {
			check(os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o755))
			check(os.WriteFile(filepath.Join(dir, path), []byte(text), 0o644))
		}
		var policies []reflectorv1.ImagePolicy
		for _, p := range it.Policies {
			policies = append(policies, reflectorv1.ImagePolicy{
				ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name},
				Status:     reflectorv1.ImagePolicyStatus{LatestRef: &reflectorv1.ImageRef{Name: p.Image, Tag: p.Tag, Digest: p.Digest}},
			})
		}
		it.Changes, it.Error, it.Out = []change{}, "", map[string]string{}
		result, err := update.UpdateWithSetters(logr.Discard(), dir, dir, policies)
		if err != nil {
			it.Error = err.Error()
		}
		for file, objects := range result.FileChanges {
			for object, changes := range objects {
				for _, c := range changes {
					it.Changes = append(it.Changes, change{file, object.APIVersion, object.Kind, object.Namespace, object.Name, c.OldValue, c.NewValue, c.Setter})
				}
			}
		}
		sort.SliceStable(it.Changes, func(a, b int) bool {
			x, y := it.Changes[a], it.Changes[b]
			return x.File+"\x00"+x.APIVersion+"\x00"+x.Kind+"\x00"+x.Name < y.File+"\x00"+y.APIVersion+"\x00"+y.Kind+"\x00"+y.Name
		})
		for path := range it.Files {
			text, err := os.ReadFile(filepath.Join(dir, path))
			check(err)
			it.Out[path] = string(text)
		}
		check(os.RemoveAll(dir))
		check(out.Encode(it))
	}
}

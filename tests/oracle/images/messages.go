// Answers what templateMsg writes; see README.md.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strings"

	"github.com/Masterminds/sprig/v3"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/fluxcd/image-automation-controller/internal/legacy"
	source "github.com/fluxcd/image-automation-controller/internal/oracle"
)

type change struct{ File, APIVersion, Kind, Namespace, Name, Old, New, Setter, Image string }

type line struct {
	Name     string            `json:"name"`
	Template string            `json:"template"`
	Changes  []change          `json:"changes"`
	Values   map[string]string `json:"values"`
	Out      string            `json:"out"`
	Error    string            `json:"error"`
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	if len(os.Args) > 1 {
		var names []string
		for name := range sprig.HermeticTxtFuncMap() {
			names = append(names, name)
		}
		sort.Strings(names)
		fmt.Println(strings.Join(names, "\n"))
		return
	}
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 1<<28)
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	for in.Scan() {
		var it line
		check(json.Unmarshal(in.Bytes(), &it))
		var changed update.ResultV2
		updated := update.Result{Files: map[string]update.FileResult{}}
		for _, c := range it.Changes {
			object := update.ObjectIdentifier{ResourceIdentifier: yaml.ResourceIdentifier{
				TypeMeta: yaml.TypeMeta{APIVersion: c.APIVersion, Kind: c.Kind},
				NameMeta: yaml.NameMeta{Name: c.Name, Namespace: c.Namespace},
			}}
			changed.AddChange(c.File, object, update.Change{OldValue: c.Old, NewValue: c.New, Setter: c.Setter})
			parts := strings.Split(c.Setter, ":")
			ref := update.Ref(c.Image, parts[0], parts[1])
			file, ok := updated.Files[c.File]
			if !ok {
				file = update.FileResult{Objects: map[update.ObjectIdentifier][]update.ImageRef{}}
				updated.Files[c.File] = file
			}
			known := false
			for _, other := range file.Objects[object] {
				known = known || other == ref
			}
			if !known {
				file.Objects[object] = append(file.Objects[object], ref)
			}
		}
		changed.ImageResult = updated
		message, err := source.TemplateMsg(it.Template, &source.TemplateData{
			Updated:          updated,
			AutomationObject: types.NamespacedName{Namespace: "apps", Name: "auto"},
			Changed:          changed,
			Values:           it.Values,
		})
		it.Out, it.Error = message, ""
		if err != nil {
			it.Error = err.Error()
		}
		check(out.Encode(it))
	}
}

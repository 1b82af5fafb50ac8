// tiltfile runs a Tiltfile as Tilt would, with the language's own interpreter, and prints what it asks of Tilt as JSON:
// a list of {name, args, kwargs}. Files are read and YAML is decoded; nothing is built and no cluster is asked.
//
//	tiltfile FILE [FLAG…]    FLAG is an option that the file defines, to be true, or OPTION=VALUE
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	starlarkjson "go.starlark.net/lib/json"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"
	"sigs.k8s.io/yaml"
)

type call struct {
	Name   string          `json:"name"`
	Args   json.RawMessage `json:"args"`
	Kwargs json.RawMessage `json:"kwargs"`
}

type run struct {
	folder string
	flags  map[string]starlark.Value
	thread *starlark.Thread
	calls  []call
}

// What a Tiltfile may call that only tells Tilt something.
var told = []string{"docker_build", "k8s_kind", "k8s_resource", "k8s_yaml", "local_resource", "update_settings", "version_settings"}

// What is an argument of these; it is told as {name, args, kwargs} there.
var described = []string{"fall_back_on", "port_forward", "run", "sync"}

// What is loaded from Tilt's extensions, by the extension.
var extensions = map[string][]string{"ext://uibutton": {"choice_input", "text_input", "cmd_button"}}

func main() {
	if len(os.Args) < 2 {
		fail(fmt.Errorf("usage: tiltfile FILE [FLAG…]"))
	}
	this := &run{folder: filepath.Dir(os.Args[1]), flags: map[string]starlark.Value{}, thread: &starlark.Thread{Name: "Tiltfile"}, calls: []call{}}
	for _, flag := range os.Args[2:] {
		name, value, given := strings.Cut(flag, "=")
		this.flags[name] = starlark.True
		if given {
			this.flags[name] = starlark.String(value)
		}
	}
	this.thread.Load = this.load
	options := &syntax.FileOptions{Set: true, TopLevelControl: true, GlobalReassign: true}
	if _, err := starlark.ExecFileOptions(options, this.thread, os.Args[1], nil, this.builtins()); err != nil {
		if evaluation, ok := err.(*starlark.EvalError); ok {
			err = fmt.Errorf("%s", evaluation.Backtrace())
		}
		fail(err)
	}
	encoder := json.NewEncoder(os.Stdout)
	if err := encoder.Encode(this.calls); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

type function func(args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error)

// noted is a builtin whose calls are in the result.
func (r *run) noted(name string, do function) *starlark.Builtin {
	return starlark.NewBuiltin(name, func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		named := starlark.NewDict(len(kwargs))
		for _, pair := range kwargs {
			if err := named.SetKey(pair[0], pair[1]); err != nil {
				return nil, err
			}
		}
		positional, err := r.encode(starlark.NewList(args))
		if err != nil {
			return nil, err
		}
		keywords, err := r.encode(named)
		if err != nil {
			return nil, err
		}
		r.calls = append(r.calls, call{name, json.RawMessage(positional), json.RawMessage(keywords)})
		return do(args, kwargs)
	})
}

func (r *run) builtins() starlark.StringDict {
	nothing := func(starlark.Tuple, []starlark.Tuple) (starlark.Value, error) { return starlark.None, nil }
	found := starlark.StringDict{
		"read_file": r.noted("read_file", func(args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
			text, err := r.read(args)
			return starlark.String(text), err
		}),
		"read_yaml": r.noted("read_yaml", func(args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
			text, err := r.read(args)
			if err != nil {
				return nil, err
			}
			return r.decode(text)
		}),
		"decode_yaml_stream": starlark.NewBuiltin("decode_yaml_stream", func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
			var text string
			if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 1, &text); err != nil {
				return nil, err
			}
			things := starlark.NewList(nil)
			for _, document := range strings.Split(text, "\n---\n") {
				thing, err := r.decode(document)
				if err != nil {
					return nil, err
				}
				if err := things.Append(thing); err != nil {
					return nil, err
				}
			}
			return things, nil
		}),
		"encode_yaml_stream": starlark.NewBuiltin("encode_yaml_stream", func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
			var things *starlark.List
			if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 1, &things); err != nil {
				return nil, err
			}
			var documents []string
			for i := 0; i < things.Len(); i++ {
				document, err := r.encode(things.Index(i))
				if err != nil {
					return nil, err
				}
				documents = append(documents, document)
			}
			return starlark.String(strings.Join(documents, "\n---\n")), nil
		}),
		"helm": r.noted("helm", func(starlark.Tuple, []starlark.Tuple) (starlark.Value, error) {
			return starlark.String("# helm\n"), nil
		}),
		"k8s_namespace": starlark.NewBuiltin("k8s_namespace", constant(starlark.String("development"))),
		"config": starlarkstruct.FromStringDict(starlark.String("config"), starlark.StringDict{
			"define_bool":   r.noted("config.define_bool", nothing),
			"define_string": r.noted("config.define_string", nothing),
			"parse":         r.noted("config.parse", r.parsed),
		}),
	}
	for _, name := range told {
		found[name] = r.noted(name, nothing)
	}
	for _, name := range described {
		found[name] = r.description(name)
	}
	return found
}

func (r *run) load(_ *starlark.Thread, module string) (starlark.StringDict, error) {
	found := starlark.StringDict{}
	for _, name := range extensions[module] {
		found[name] = r.description(name)
		if name == "cmd_button" {
			found[name] = r.noted(name, func(starlark.Tuple, []starlark.Tuple) (starlark.Value, error) { return starlark.None, nil })
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no extension %s", module)
	}
	return found, nil
}

// description is a builtin whose value says how it was called.
func (r *run) description(name string) *starlark.Builtin {
	return starlark.NewBuiltin(name, func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		named := starlark.NewDict(len(kwargs))
		for _, pair := range kwargs {
			if err := named.SetKey(pair[0], pair[1]); err != nil {
				return nil, err
			}
		}
		found := starlark.NewDict(3)
		for key, value := range map[string]starlark.Value{"name": starlark.String(name), "args": starlark.NewList(args), "kwargs": named} {
			if err := found.SetKey(starlark.String(key), value); err != nil {
				return nil, err
			}
		}
		return found, nil
	})
}

func constant(value starlark.Value) func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error) {
	return func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error) {
		return value, nil
	}
}

func (r *run) parsed(starlark.Tuple, []starlark.Tuple) (starlark.Value, error) {
	found := starlark.NewDict(len(r.flags))
	for flag, value := range r.flags {
		if err := found.SetKey(starlark.String(flag), value); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func (r *run) read(args starlark.Tuple) (string, error) {
	path, ok := starlark.AsString(args[0])
	if !ok {
		return "", fmt.Errorf("a path is a string, not %s", args[0].Type())
	}
	text, err := os.ReadFile(filepath.Join(r.folder, path))
	return string(text), err
}

func (r *run) decode(document string) (starlark.Value, error) {
	text, err := yaml.YAMLToJSON([]byte(document))
	if err != nil {
		return nil, err
	}
	return starlark.Call(r.thread, starlarkjson.Module.Members["decode"], starlark.Tuple{starlark.String(text)}, nil)
}

// encode refuses floats, as Tilt's encoder does.
func (r *run) encode(value starlark.Value) (string, error) {
	text, err := starlark.Call(r.thread, starlarkjson.Module.Members["encode"], starlark.Tuple{value}, nil)
	if err != nil {
		return "", err
	}
	encoded, _ := starlark.AsString(text)
	decoder := json.NewDecoder(bytes.NewReader([]byte(encoded)))
	decoder.UseNumber()
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return "", err
		}
		if number, ok := token.(json.Number); ok && strings.ContainsAny(number.String(), ".eE") {
			return "", fmt.Errorf("%s: Tilt encodes no floats", number)
		}
	}
	return encoded, nil
}

package tree

import (
	"fmt"

	"warren/fs"
	"warren/fs/post"
	"warren/fs/sys"
)

// srvRoot is the directory srv.
type srvRoot struct {
	set   *post.Set
	users *sys.Users // for the names of owners
	log   *fs.ErrorLog
	meta  *sys.Meta
	dir   *fs.Dir[*post.Post]
}

func (r *srvRoot) Meta() *sys.Meta { return r.meta }

// ClassFar is the class of the qids of files on other servers.
const ClassFar = classFar

// newSrv returns what makes the node of srv. It belongs to the user whom the
// server runs as, who posts. What fails below is written down in log.
func newSrv(set *post.Set, log *fs.ErrorLog) func(parent fs.Node) fs.Node {
	r := &srvRoot{set: set, users: new(sys.Users), log: log, meta: fixed("srv", 0), dir: postDir()}
	d := srvDir()
	return func(parent fs.Node) fs.Node { return d.Node(r, parent) }
}

// srvDocs describes the tables of srv and of a post.
func srvDocs() []fs.DirDoc { return []fs.DirDoc{srvDir().Describe(), postDir().Describe()} }

func srvDir() *fs.Dir[*srvRoot] {
	return &fs.Dir[*srvRoot]{
		Class: classSrv,
		Name:  "srv/",
		Doc: "9P services of other servers: one posted under a name is the directory srv/NAME. To list srv asks no server; to enter a post does. " +
			"rmdir srv/NAME takes a post away in which nothing is open.",
		Files: []fs.File[*srvRoot]{
			{
				Name: "ctl", Perm: 0o644, Kind: fs.Ctl, Verbs: srvVerbs(),
				Doc: "What is posted. It is not kept when the server ends: cat srv/ctl >saved; cat saved >srv/ctl.",
			},
			{
				Name: "stat", Perm: 0o444, Kind: fs.Text, Text: textOf((*srvRoot).textStat),
				Doc: "A line a post. The state is idle (nobody uses it), connected (somebody does) or down (the server could not be reached, or was lost: the reason says how; " +
					"the next who enters tries again). The user is who posted it. since_s is Unix seconds.",
				Format: "name address state user since_s 'reason'",
			},
		},
		Kids: &fs.Kids[*srvRoot]{
			Walk: func(_ *fs.Call, r *srvRoot, parent fs.Node, name string) (fs.Node, error) {
				p, ok := r.set.Get(name)
				if !ok {
					return nil, sys.ErrNotExist
				}
				return p.Mount(r.dir.Node(p, parent), "/srv/"+name, r.log), nil
			},
			List: func(r *srvRoot, from uint64, yield func(string, uint64) bool) {
				for _, p := range r.set.All() {
					m := p.Meta()
					if m.Serial >= from && !yield(m.Name, m.Serial+1) {
						return
					}
				}
			},
			Remove: func(_ *fs.Call, r *srvRoot, name string) error { return r.set.Remove(name) },
		},
	}
}

func (r *srvRoot) textStat(b []byte) []byte {
	for _, p := range r.set.All() {
		addr, _ := p.Addr()
		s := p.Status()
		uid, _ := p.Meta().Owner()
		b = fmt.Appendf(b, "%s %s %s %s %d ", p.Meta().Name, fs.Quote(addr), s.State, fs.Quote(r.users.Name(uid)), s.Since.Unix())
		if s.Reason == "" {
			b = append(b, "-\n"...)
			continue
		}
		b = append(fs.AppendQuoted(b, s.Reason), '\n')
	}
	return b
}

type srvAction = func(*fs.Call, *srvRoot) error

func srvVerbs() []fs.Verb[*srvRoot] {
	return []fs.Verb[*srvRoot]{
		{
			Name: "post", Args: "NAME ADDRESS [TREE]",
			Doc: "Make srv/NAME the service at an address (unix!/path, tcp!host!port, tls!host!port, vsock!cid!port), in any dialect of 9P; TREE names one of several trees, for servers " +
				"that have several. The server is asked when somebody enters, not now. To post again what is posted succeeds. This server's own address is refused; " +
				"that of another which leads back here fails for who enters. At a tls address the server shows the certificate that WARREN_TLS_CERT, WARREN_TLS_KEY and WARREN_TLS_CA " +
				"in its environment say, and the post is for the user whom it runs as only: to the other side everybody would be whom the certificate names.",
			Parse: parsePost,
			Dump:  dumpPosts,
		},
		{
			Name: "unpost", Args: "NAME", Doc: "Take srv/NAME away. Files that are open there fail.",
			Parse: func(w []string) (srvAction, error) {
				return func(_ *fs.Call, r *srvRoot) error {
					if err := r.set.Unpost(w[0]); err != nil {
						return sys.Errorf(sys.Errno(err), "unpost: no post %q", w[0])
					}
					return nil
				}, nil
			},
		},
	}
}

func parsePost(w []string) (srvAction, error) {
	if err := fs.CheckName(w[0], "ctl", "stat"); err != nil {
		return nil, err
	}
	if err := post.CheckAddr(w[1]); err != nil {
		return nil, err
	}
	name, addr, tree := w[0], w[1], ""
	if len(w) > 2 {
		tree = w[2]
	}
	return func(c *fs.Call, r *srvRoot) error { return r.set.Post(c.User(), name, addr, tree) }, nil
}

func dumpPosts(r *srvRoot) []string {
	var lines []string
	for _, p := range r.set.All() {
		addr, tree := p.Addr()
		line := p.Meta().Name + " " + fs.Quote(addr)
		if tree != "" {
			line += " " + fs.Quote(tree)
		}
		lines = append(lines, line)
	}
	return lines
}

func postDir() *fs.Dir[*post.Post] {
	return &fs.Dir[*post.Post]{
		Class: classPost,
		Name:  "srv/NAME/",
		Doc: "The tree of another server. Each user is attached to it as himself, over a connection of his own; on a unix socket the server sees the user's own credentials. " +
			"The user none is attached as none. A server that does not answer stops only those who wait for it: they get an error after some seconds, or when they " +
			"are interrupted. When it is back, so is its tree; files that were open fail.",
	}
}

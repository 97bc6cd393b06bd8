package gateway

// DryRun routes as [Routes.Route] does, but nothing comes of it: the caller is not remembered,
// and of trunks with equal shares it is always the first, so that the answer is always the same.
func (r *Routes) DryRun(q Query) (Target, error) { return r.apart().Route(q) }

// apart is the router with a memory of its own.
func (r *Routes) apart() *Routes {
	return &Routes{
		Mapping: r.Mapping, Hosts: r.Hosts, Ports: r.Ports, Table: r.Table, Trunks: r.Trunks, Phones: r.Phones,
		Down: r.Down, Pick: func(int) int { return 0 }, Groups: r.Groups, XMPP: r.XMPP, NoAnswer: r.NoAnswer,
		Accounts: r.Accounts, Account: r.Account, Names: r.Names, Services: r.Services,
	}
}

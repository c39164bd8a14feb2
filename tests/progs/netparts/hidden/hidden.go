// SPDX-License-Identifier: BSD-2-Clause

// Package hidden has a driver whose connectors have nothing that leads to it.
package hidden

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"io"
)

type Driver struct{ calls int }

type connector struct{ dsn string }

func (d *Driver) Open(string) (driver.Conn, error) { return nil, io.EOF }

func (d *Driver) OpenConnector(dsn string) (driver.Connector, error) {
	return &connector{dsn}, nil
}

func (c *connector) Connect(context.Context) (driver.Conn, error) { return nil, io.EOF }
func (c *connector) Driver() driver.Driver                        { return &Driver{} }

func init() { sql.Register("hidden", &Driver{}) }

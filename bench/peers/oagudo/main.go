// The reader of github.com/oagudo/outbox, with a publisher that adds to a Redis stream, as its README sets both up.
//
// Settings come from the environment: DATABASE_URL, REDIS_URL, STREAM, and INTERVAL, READ_BATCH and DELETE_BATCH. Who runs it starts
// it again when it ends.
package main

import (
	"context"
	"database/sql"
	"log"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/oagudo/outbox"
	"github.com/redis/go-redis/v9"
)

// publisher is what the library asks of its user: one message, published when it returns.
type publisher struct {
	client *redis.Client
	stream string
}

func (p *publisher) Publish(ctx context.Context, msg *outbox.Message) error {
	return p.client.XAdd(ctx, &redis.XAddArgs{
		Stream: p.stream,
		Values: []any{"id", msg.ID.String(), "key", msg.Metadata, "event", msg.Payload},
	}).Err()
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	db, err := sql.Open("pgx", os.Getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	options, err := redis.ParseURL(os.Getenv("REDIS_URL"))
	if err != nil {
		return err
	}
	interval, err := time.ParseDuration(os.Getenv("INTERVAL"))
	if err != nil {
		return err
	}
	read, err := strconv.Atoi(os.Getenv("READ_BATCH"))
	if err != nil {
		return err
	}
	remove, err := strconv.Atoi(os.Getenv("DELETE_BATCH"))
	if err != nil {
		return err
	}
	reader := outbox.NewReader(
		outbox.NewDBContext(db, outbox.SQLDialectPostgres),
		&publisher{redis.NewClient(options), os.Getenv("STREAM")},
		outbox.WithInterval(interval),
		outbox.WithReadBatchSize(read),
		outbox.WithDeleteBatchSize(remove),
	)
	reader.Start()
	go func() {
		for err := range reader.Errors() {
			log.Print(err)
		}
	}()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	<-ctx.Done()
	return reader.Stop(context.Background())
}

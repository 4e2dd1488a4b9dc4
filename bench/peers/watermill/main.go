// Watermill's forwarder: from a table of Postgres to a Redis stream, as its documentation and its example of the outbox set it up.
//
// Settings come from the environment: DATABASE_URL, REDIS_URL, SCHEMA (`offsets` or `queue`), POLL_INTERVAL and BATCH; the last two
// are Watermill's own defaults when they are absent. Any error ends it; who runs it starts it again.
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

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	watermillSQL "github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/components/forwarder"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/redis/go-redis/v9"
)

const topic = "outbox"

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
	settings, err := subscriber()
	if err != nil {
		return err
	}
	logger := watermill.NewStdLogger(false, false)
	from, err := watermillSQL.NewSubscriber(watermillSQL.BeginnerFromStdSQL(db), settings, logger)
	if err != nil {
		return err
	}
	options, err := redis.ParseURL(os.Getenv("REDIS_URL"))
	if err != nil {
		return err
	}
	to, err := redisstream.NewPublisher(redisstream.PublisherConfig{Client: redis.NewClient(options)}, logger)
	if err != nil {
		return err
	}
	relay, err := forwarder.NewForwarder(from, to, logger, forwarder.Config{ForwarderTopic: topic})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	return relay.Run(ctx)
}

func subscriber() (watermillSQL.SubscriberConfig, error) {
	batch := 0
	config := watermillSQL.SubscriberConfig{}
	if text := os.Getenv("BATCH"); text != "" {
		number, err := strconv.Atoi(text)
		if err != nil {
			return config, err
		}
		batch = number
	}
	if text := os.Getenv("POLL_INTERVAL"); text != "" {
		interval, err := time.ParseDuration(text)
		if err != nil {
			return config, err
		}
		config.PollInterval = interval
	}
	if os.Getenv("SCHEMA") == "queue" {
		config.SchemaAdapter = watermillSQL.PostgreSQLQueueSchema{SubscribeBatchSize: batch}
		config.OffsetsAdapter = watermillSQL.PostgreSQLQueueOffsetsAdapter{DeleteOnAck: true}
		return config, nil
	}
	config.SchemaAdapter = watermillSQL.DefaultPostgreSQLSchema{SubscribeBatchSize: batch}
	config.OffsetsAdapter = watermillSQL.DefaultPostgreSQLOffsetsAdapter{}
	return config, nil
}

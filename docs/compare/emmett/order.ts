// Emmett 0.42.0 with its PostgreSQL store and Pongo 0.16.11.
import {
  type Command,
  DeciderCommandHandler,
  type Event,
  IllegalStateError,
  ValidationError,
} from "@event-driven-io/emmett";
import {
  getPostgreSQLEventStore,
  pongoSingleStreamProjection,
} from "@event-driven-io/emmett-postgresql";
import { pongoClient } from "@event-driven-io/pongo";
import { SQL } from "@event-driven-io/dumbo";

type OrderEvent =
  | Event<"order.placed", { order: string; customer: string; total: number }>
  | Event<"order.confirmed", { order: string }>
  | Event<"order.cancelled", { order: string; reason: string }>
  | Event<"payment.received", { order: string; amount: number }>;

type OrderCommand =
  | Command<"place", { order: string; customer: string; total: number }>
  | Command<"confirm", { order: string }>
  | Command<"cancel", { order: string; reason: string }>
  | Command<"receive", { order: string; amount: number }>;

type Order = {
  customer: string;
  total: number;
  status: "new" | "pending" | "confirmed" | "cancelled";
};

const initialState = (): Order => ({ customer: "", total: 0, status: "new" });

const evolve = (order: Order, { type, data }: OrderEvent): Order => {
  switch (type) {
    case "order.placed":
      return { customer: data.customer, total: data.total, status: "pending" };
    case "order.confirmed":
      return { ...order, status: "confirmed" };
    case "order.cancelled":
      return { ...order, status: "cancelled" };
    case "payment.received":
      return order;
  }
};

const decide = (
  { type, data }: OrderCommand,
  { status }: Order,
): OrderEvent | OrderEvent[] => {
  switch (type) {
    case "place":
      if (data.total === 0) throw new ValidationError("an order needs a total");
      if (status !== "new") throw new IllegalStateError("the order exists");
      return { type: "order.placed", data };
    case "confirm":
      return status === "pending" ? { type: "order.confirmed", data } : [];
    case "cancel":
      return status === "pending" ? { type: "order.cancelled", data } : [];
    case "receive":
      return { type: "payment.received", data };
  }
};

const url = "postgresql://localhost/orders";
const store = getPostgreSQLEventStore(url);
const summaries = pongoClient(url).db().collection<Order>("orderSummary");
const decider = DeciderCommandHandler({ decide, evolve, initialState });
const handle = (command: OrderCommand) =>
  decider(store, command.data.order, command);

await store.schema.migrate();
const consumer = store.consumer<OrderEvent>();
consumer.projector({
  projection: pongoSingleStreamProjection({
    collectionName: "orderSummary",
    canHandle: ["order.placed", "order.confirmed", "order.cancelled"],
    evolve,
    initialState,
  }),
});
consumer.reactor<OrderEvent>({
  processorId: "payment",
  canHandle: ["payment.received"],
  eachMessage: async ({ data: { order } }) => {
    await handle({ type: "confirm", data: { order } });
  },
});
void consumer.start();

setInterval(async () => {
  const late = await summaries.find(
    SQL`data->>'status' = 'pending' AND _created < now() - interval '15 minutes'`,
  );
  for (const { _id: order } of late)
    await handle({
      type: "cancel",
      data: { order, reason: "payment timed out" },
    });
}, 1000);

const order = crypto.randomUUID();
await handle({ type: "place", data: { order, customer: "ann", total: 10 } });
await handle({ type: "receive", data: { order, amount: 10 } });
let summary;
do {
  summary = await summaries.findOne({ _id: order });
} while (summary?.status !== "confirmed");
console.log(summary);
await consumer.close();
process.exit();

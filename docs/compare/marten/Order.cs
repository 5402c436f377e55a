// Marten 9.29 + Wolverine 6.29.
using JasperFx.Core;
using JasperFx.Events.Daemon;
using JasperFx.Events.Projections;
using Marten;
using Marten.Events.Projections;
using Microsoft.Extensions.Hosting;
using Wolverine;
using Wolverine.Marten;

using var host = await Host.CreateDefaultBuilder()
    .UseWolverine(options =>
    {
        options.Policies.AutoApplyTransactions();
        options.Policies.UseDurableLocalQueues();
        options
            .Services.AddMarten(marten =>
            {
                marten.Connection("Host=localhost;Database=orders");
                marten.Projections.Snapshot<Order>(SnapshotLifecycle.Async);
            })
            .IntegrateWithWolverine()
            .AddAsyncDaemon(DaemonMode.HotCold);
    })
    .StartAsync();

var id = Guid.NewGuid();
await host.InvokeAsync(new PlaceOrder(id, "ann", 10));
await host.InvokeAsync(new ReceivePayment(id, 10));

var session = host.DocumentStore().QuerySession();
Order? summary;
do
    summary = await session.LoadAsync<Order>(id);
while (summary?.Status != "confirmed");
Console.WriteLine(summary);

public record OrderPlaced(Guid OrderId, string Customer, int Total);

public record OrderConfirmed(Guid OrderId);

public record OrderCancelled(Guid OrderId, string Reason);

public record PaymentReceived(Guid OrderId, int Amount);

public record PlaceOrder(Guid OrderId, string Customer, int Total);

public record ConfirmOrder(Guid OrderId);

public record CancelOrder(Guid OrderId, string Reason);

public record ReceivePayment(Guid OrderId, int Amount);

public record Order(Guid Id, string Customer, int Total, string Status)
{
    public static Order Create(OrderPlaced e) => new(e.OrderId, e.Customer, e.Total, "pending");

    public Order Apply(OrderConfirmed _) => this with { Status = "confirmed" };

    public Order Apply(OrderCancelled _) => this with { Status = "cancelled" };
}

public static class PlaceOrderHandler
{
    public static (IStartStream, DeliveryMessage<CancelOrder>) Handle(PlaceOrder command) =>
        command.Total == 0
            ? throw new ArgumentException("an order needs a total")
            : (
                MartenOps.StartStream<Order>(
                    command.OrderId,
                    new OrderPlaced(command.OrderId, command.Customer, command.Total)
                ),
                new CancelOrder(command.OrderId, "payment timed out").DelayedFor(15.Minutes())
            );
}

[AggregateHandler]
public static class PlacedOrderHandler
{
    public static Events Handle(ConfirmOrder command, Order order) =>
        order.Status == "pending" ? [new OrderConfirmed(command.OrderId)] : [];

    public static Events Handle(CancelOrder command, Order order) =>
        order.Status == "pending" ? [new OrderCancelled(command.OrderId, command.Reason)] : [];

    public static (PaymentReceived, OutgoingMessages) Handle(ReceivePayment command, Order _) =>
        (new(command.OrderId, command.Amount), [new ConfirmOrder(command.OrderId)]);
}

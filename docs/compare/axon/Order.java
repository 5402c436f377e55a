// Axon Framework 5.1 with its Spring Boot starter, Spring Data JPA.
package orders;

import jakarta.persistence.Entity;
import jakarta.persistence.Id;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.List;
import java.util.UUID;
import org.axonframework.eventsourcing.annotation.EventSourcingHandler;
import org.axonframework.eventsourcing.annotation.EventTag;
import org.axonframework.eventsourcing.annotation.reflection.EntityCreator;
import org.axonframework.extension.spring.stereotype.EventSourced;
import org.axonframework.messaging.commandhandling.annotation.CommandHandler;
import org.axonframework.messaging.commandhandling.gateway.CommandDispatcher;
import org.axonframework.messaging.commandhandling.gateway.CommandGateway;
import org.axonframework.messaging.eventhandling.annotation.EventHandler;
import org.axonframework.messaging.eventhandling.annotation.Timestamp;
import org.axonframework.messaging.eventhandling.gateway.EventAppender;
import org.axonframework.modelling.annotation.TargetEntityId;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.data.jpa.repository.JpaRepository;
import org.springframework.scheduling.annotation.EnableScheduling;
import org.springframework.scheduling.annotation.Scheduled;
import org.springframework.stereotype.Component;

record OrderPlaced(@EventTag String order, String customer, int total) {}

record OrderConfirmed(@EventTag String order) {}

record OrderCancelled(@EventTag String order, String reason) {}

record PaymentReceived(@EventTag String order, int amount) {}

record PlaceOrder(@TargetEntityId String order, String customer, int total) {}

record ConfirmOrder(@TargetEntityId String order) {}

record CancelOrder(@TargetEntityId String order, String reason) {}

record ReceivePayment(@TargetEntityId String order, int amount) {}

@EventSourced(tagKey = "order")
class Order {

  boolean pending = true;

  @EntityCreator
  Order(OrderPlaced event) {}

  @EventSourcingHandler
  void on(OrderConfirmed event) {
    pending = false;
  }

  @EventSourcingHandler
  void on(OrderCancelled event) {
    pending = false;
  }

  @CommandHandler
  static void handle(PlaceOrder command, EventAppender events) {
    if (command.total() == 0) throw new IllegalArgumentException(
      "an order needs a total"
    );
    events.append(
      new OrderPlaced(command.order(), command.customer(), command.total())
    );
  }

  @CommandHandler
  void handle(ConfirmOrder command, EventAppender events) {
    if (pending) events.append(new OrderConfirmed(command.order()));
  }

  @CommandHandler
  void handle(CancelOrder command, EventAppender events) {
    if (pending) events.append(
      new OrderCancelled(command.order(), command.reason())
    );
  }

  @CommandHandler
  void handle(ReceivePayment command, EventAppender events) {
    events.append(new PaymentReceived(command.order(), command.amount()));
  }
}

@Entity
class OrderSummary {

  @Id
  String id;

  String customer;
  int total;
  String status = "pending";
  Instant placed;
}

interface OrderSummaries extends JpaRepository<OrderSummary, String> {
  List<OrderSummary> findByStatusAndPlacedBefore(String status, Instant time);
}

@Component
class OrderSummaryProjection {

  @EventHandler
  void on(
    OrderPlaced event,
    @Timestamp Instant placed,
    OrderSummaries summaries
  ) {
    var summary = new OrderSummary();
    summary.id = event.order();
    summary.customer = event.customer();
    summary.total = event.total();
    summary.placed = placed;
    summaries.save(summary);
  }

  @EventHandler
  void on(OrderConfirmed event, OrderSummaries summaries) {
    summaries.findById(event.order()).orElseThrow().status = "confirmed";
  }

  @EventHandler
  void on(OrderCancelled event, OrderSummaries summaries) {
    summaries.findById(event.order()).orElseThrow().status = "cancelled";
  }
}

@Component
record PaymentProcess(CommandGateway commands, OrderSummaries summaries) {
  @EventHandler
  void on(PaymentReceived event, CommandDispatcher commands) {
    commands.send(new ConfirmOrder(event.order()));
  }

  @Scheduled(fixedDelay = 1000)
  void cancelUnpaid() {
    var due = Instant.now().minus(15, ChronoUnit.MINUTES);
    for (var late : summaries.findByStatusAndPlacedBefore("pending", due))
      commands.send(new CancelOrder(late.id, "payment timed out"));
  }
}

@SpringBootApplication
@EnableScheduling
class Orders {

  public static void main(String[] args) {
    var app = SpringApplication.run(Orders.class, args);
    var commands = app.getBean(CommandGateway.class);
    var summaries = app.getBean(OrderSummaries.class);

    var order = UUID.randomUUID().toString();
    commands.sendAndWait(new PlaceOrder(order, "ann", 10));
    commands.sendAndWait(new ReceivePayment(order, 10));

    OrderSummary summary;
    do summary = summaries.findById(order).orElse(new OrderSummary()); while (
      summary.status.equals("pending")
    );
    System.out.println(
      summary.customer + " " + summary.total + " " + summary.status
    );
  }
}

Feature: IBKR Connection Handling
  Background:
    Given a running TWS/Gateway on localhost:7497
    And valid credentials (host, port, client_id)

  Scenario: Successful connection
    When I call connector.connect()
    Then connector.is_connected() should be true

  Scenario: Graceful disconnection
    Given connector.is_connected() is true
    When I call connector.disconnect()
    Then connector.is_connected() should be false

  Scenario: Failed connection
    Given TWS/Gateway is not running
    When I call connector.connect()
    Then an exception is raised

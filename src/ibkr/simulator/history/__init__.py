"""Historical data: past prices, and the requests for them."""

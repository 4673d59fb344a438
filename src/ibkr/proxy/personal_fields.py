"""The lists of fields that hold personal data, and how each is cleaned. Names are as in the layouts and in protobuf."""

import enum


class CleaningPolicy(enum.Enum):
    """What `cleaning` does to the text of a field. The value is the beginning of the placeholders."""

    KEEP = "public"
    SENTENCE = "sentence"
    ACCOUNT = "account"
    NAME = "name"
    REFERENCE = "ref"
    TEXT = "text"
    MAIL = "mail"


def words(text: str) -> frozenset[str]:
    """Split a text into words at white space."""
    return frozenset(text.split())


PRIVATE_FIELDS: dict[CleaningPolicy, frozenset[str]] = {
    CleaningPolicy.ACCOUNT: words(
        """
    account accounts customer_account clearing_account delta_neutral_clearing_account group accountId
    accountName accountsList acctCode acctNumber customerAccount clearingAccount deltaNeutralClearingAccount
    """
    ),
    CleaningPolicy.NAME: words(
        """
    fa_group fa_profile model_code submitter ext_operator settling_firm delta_neutral_settling_firm
    soft_dollar_tier_name soft_dollar_tier_value soft_dollar_tier_display_name white_branding_id display_name
    mifid2_decision_maker mifid2_decision_algo mifid2_execution_trader mifid2_execution_algo rfq_operator
    faGroup modelCode extOperator settlingFirm deltaNeutralSettlingFirm familyCode displayName whiteBrandingId
    mifid2DecisionMaker mifid2DecisionAlgo mifid2ExecutionTrader mifid2ExecutionAlgo
    """
    ),
    CleaningPolicy.REFERENCE: words(
        """
    order_ref oca_group algo_id rfq_id orderRef ocaGroup algoId
    """
    ),
    CleaningPolicy.TEXT: words(
        """
    designated_location delta_neutral_designated_location order_misc_options scale_table shares_allocation
    fa_percentage designatedLocation deltaNeutralDesignatedLocation orderMiscOptions scaleTable faPercentage
    trustedIPs
    """
    ),
    CleaningPolicy.SENTENCE: words(
        """
    text advanced_order_reject reject_reason warning_text completed_status shareholder filter json errorMsg
    advancedOrderRejectJson rejectReason warningText completedStatus articleText newsMessage dataJson message
    title errors changedFields pattern chart_options market_data_options market_depth_options
    real_time_bars_options misc_options fundamentals_data_options implied_volatility_options
    option_price_options historical_news_options news_article_options scanner_subscription_options
    scanner_subscription_filter_options chartOptions marketDataOptions marketDepthOptions realTimeBarsOptions
    miscOptions fundamentalsDataOptions impliedVolatilityOptions optionPriceOptions historicalNewsOptions
    newsArticleOptions scannerSubscriptionOptions scannerSubscriptionFilterOptions algoParams
    smartComboRoutingParams
    """
    ),
}
"""The fields that are cleaned, by policy."""

OVERRIDES: dict[tuple[str, str], CleaningPolicy] = {
    ("familyCodes", "code"): CleaningPolicy.NAME,
    ("softDollarTiers", "name"): CleaningPolicy.NAME,
    ("softDollarTiers", "value"): CleaningPolicy.NAME,
    ("receiveFA", "xml"): CleaningPolicy.TEXT,
    ("replaceFA", "xml"): CleaningPolicy.TEXT,
    ("SoftDollarTier", "name"): CleaningPolicy.NAME,
    ("SoftDollarTier", "value"): CleaningPolicy.NAME,
    ("ReceiveFA", "xml"): CleaningPolicy.TEXT,
    ("FAReplace", "xml"): CleaningPolicy.TEXT,
    ("placeOrder", "value"): CleaningPolicy.SENTENCE,
    ("openOrder", "value"): CleaningPolicy.SENTENCE,
    ("completedOrder", "value"): CleaningPolicy.SENTENCE,
}
"""Exceptions by message and field: in this message, the field's name has another meaning than in other messages."""

PUBLIC_FIELDS: frozenset[str] = words(
    """
    action active_start_time active_stop_time adjusted_order_type advanced_error_override algo_strategy
    article_id auto_cancel_date bar_size bbo_exchange benchmark bond_accrued_interest bond_type category
    clearing_intent code combo_legs_descrip commission_currency completed_time conditions conjunction contract
    contract_month coupon_type currency cusip date delta_neutral_clearing_intent delta_neutral_open_close
    delta_neutral_order_type desc_append description distance duration end end_date ev_rule exchange exec_id
    execution_exchange expiration extra fa_method equity_with_loan_after equity_with_loan_before
    equity_with_loan_change init_margin_after init_margin_before init_margin_change maint_margin_after
    maint_margin_before maint_margin_change fund_asset_type fund_back_load fund_back_load_time_interval
    fund_blue_sky_states fund_blue_sky_territories fund_distribution_policy fund_family fund_front_load
    fund_management_fee fund_minimum_initial_purchase fund_name fund_notify_amount
    fund_subsequent_minimum_purchase fund_type fut_fop_exchange generic_tick_list good_after_time good_till_date
    groups has_gaps headline hedge_param hedge_type id industry instrument issue_date issuer_id key
    last_trade_date last_trade_date_and_time legs letter liquid_hours listing_exchange local_symbol
    location_code long_name manual_cancel_order_time manual_order_time margin_currency market_maker market_name
    market_rule_ids maturity maturity_date_above maturity_date_below moody_rating_above moody_rating_below
    multiplier name next_option_date next_option_type notes open_close optional_capabilities order_type
    order_types primary_exchange projection provider provider_code provider_codes ratings real_expiration_date
    reference_date reference_exchange_id report_type right rule_80a scan_code scanner_setting_pairs sec_id
    sec_id_type sec_type service_data_type side sp_rating_above sp_rating_below start start_date status
    stock_type stock_type_filter subcategory symbol tag tags tick_type tif time time_period time_zone
    time_zone_id timestamp trading_class trading_hours under_sec_type under_symbol underlying_sec_type
    underlying_symbol valid_exchanges value what_to_show why_held xml WAP activeStartTime activeStopTime
    adjustedOrderType advancedErrorOverride algoStrategy allowedAllocQty articleId autoCancelDate
    autoLogoffPeriod autoLogoffTime autoLogoffType barSizeSetting bboExchange bondAccruedInterest bondNotes
    bondType clearingIntent comboKey comboLegsDescrip commissionAndFeesCurrency completedTime
    componentExchSeparator contractInfo contractMonth couponType cumQty data defaultAction defaultAlgorithm
    deltaNeutralClearingIntent deltaNeutralOpenClose deltaNeutralOrderType derivativeSecTypes descAppend
    desiredAllocQty encodeApiMessages endDate endDateStr endDateTime evRule eventContract1
    eventContractDescription1 eventContractDescription2 exchangeLetter execId expirations extraData faMethod
    filled filledQuantity fundAssetType fundBackLoad fundBackLoadTimeInterval fundBlueSkyStates
    fundBlueSkyTerritories fundDistributionPolicyIndicator fundFamily fundFrontLoad fundManagementFee
    fundMinimumInitialPurchase fundMinimumSubsequentPurchase fundName fundNotifyAmount fundType futFopExchange
    genericTickList goodAfterTime goodTillDate headTimestamp hedgeParam hedgeType issueDate issuerId
    lastPricePrecision lastSizePrecision lastTradeDate lastTradeDateOrContractMonth liquidHours listingExch
    localSymbol locationCode loggingLevel longName manualOrderCancelTime manualOrderTime marginCurrency
    marketMaker marketName marketRuleIds maturityDateAbove maturityDateBelow minAlgoSize minSize minTick
    moodyRatingAbove moodyRatingBelow nextOptionDate nextOptionType openClose optionExerciseRequestType
    optionalCapabilities orderType orderTypes originatingExch position positionAfter positionDesired primaryExch
    providerCode providerCodes providerName ptOrderType realExpirationDate refDate referenceExchangeId remaining
    reportType rule80A scanCode scannerSettingPairs secId secIdList secIdType secType sendInstrumentTimezone
    serviceDataType settlementMethod shares size sizeAsk sizeBid sizeIncrement slOrderType spRatingAbove
    spRatingBelow specialConditions startDate startDateStr startDateTime stockType stockTypeFilter suggestedSize
    suggestedSizeIncrement tickType timePeriod timeStamp timeZone timeZoneId totalQuantity tradingClass
    tradingHours underSecType underSymbol underlyingSecType underlyingSymbol validExchanges volume whatToShow
    whyHeld yieldRedemptionDate
    """
)
"""Fields whose texts are not replaced, because these are words of IB and of the market."""

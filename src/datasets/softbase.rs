//! Raw pulls of Softbase Evolution, the dealers' ERP.

use super::{Connector, Dataset, Grain, Kind, column, required};

/// SQL Server's money and decimal amounts, with all four decimals of `money`.
const AMOUNT: Kind = Kind::Decimal { precision: 19, scale: 4 };

pub(super) static INVOICES: Dataset = Dataset {
    name: "softbase_invoices",
    connector: Connector::Softbase,
    grain: Grain::Month,
    key: &["invoice_no"],
    may_be_empty: true,
    pages: false,
    columns: &[
        required("invoice_no", Kind::Text, "InvoiceReg.InvoiceNo", "Number of the invoice."),
        required(
            "invoice_date",
            Kind::Date,
            "InvoiceReg.InvoiceDate",
            "Local day of the invoice; the time of day is cut.",
        ),
        column("bill_to", Kind::Text, "InvoiceReg.BillTo", "Number of the customer billed, trimmed."),
        column("ship_to", Kind::Text, "InvoiceReg.ShipTo", "Number of the customer served, trimmed."),
        column("serial_no", Kind::Text, "InvoiceReg.SerialNo", "Serial number of the machine it is about, trimmed."),
        column("sale_code", Kind::Text, "InvoiceReg.SaleCode", "Kind of sale, as the dealer codes it."),
        column("sale_branch", Kind::Int, "InvoiceReg.SaleBranch", "Branch that sold."),
        column("sale_dept", Kind::Int, "InvoiceReg.SaleDept", "Department that sold."),
        column("grand_total", AMOUNT, "InvoiceReg.GrandTotal", "Amount of the invoice, sales tax included."),
        column("total_tax", AMOUNT, "InvoiceReg.TotalTax", "Sales tax in grand_total."),
        column("labor_taxable", AMOUNT, "InvoiceReg.LaborTaxable", "Labour, taxable."),
        column("labor_non_tax", AMOUNT, "InvoiceReg.LaborNonTax", "Labour, not taxable."),
        column("parts_taxable", AMOUNT, "InvoiceReg.PartsTaxable", "Parts, taxable."),
        column("parts_non_tax", AMOUNT, "InvoiceReg.PartsNonTax", "Parts, not taxable."),
        column("misc_taxable", AMOUNT, "InvoiceReg.MiscTaxable", "Miscellaneous, taxable."),
        column("misc_non_tax", AMOUNT, "InvoiceReg.MiscNonTax", "Miscellaneous, not taxable."),
        column("equipment_taxable", AMOUNT, "InvoiceReg.EquipmentTaxable", "Equipment sold, taxable."),
        column("equipment_non_tax", AMOUNT, "InvoiceReg.EquipmentNonTax", "Equipment sold, not taxable."),
        column("rental_taxable", AMOUNT, "InvoiceReg.RentalTaxable", "Rental, taxable."),
        column("rental_non_tax", AMOUNT, "InvoiceReg.RentalNonTax", "Rental, not taxable."),
        column(
            "deleted_date",
            Kind::Date,
            "InvoiceReg.DeletionTime",
            "Day the invoice was voided; null when it stands, or when the view has no such column.",
        ),
    ],
    meaning: "The invoice register of a Softbase dealer: one row per invoice of the month.",
};

pub(super) static WORK_ORDERS: Dataset = Dataset {
    name: "softbase_work_orders",
    connector: Connector::Softbase,
    grain: Grain::Snapshot,
    key: &["work_order_no"],
    may_be_empty: false,
    pages: false,
    columns: &[
        required(
            "work_order_no",
            Kind::Text,
            "WO.WONo",
            "Number of the work order; numbers starting with 9 are quotes.",
        ),
        column(
            "work_order_type",
            Kind::Text,
            "WO.Type",
            "S service, SH shop, PM maintenance, P parts, R rental, E equipment.",
        ),
        column("bill_to", Kind::Text, "WO.BillTo", "Number of the customer to be billed, trimmed."),
        column("ship_to", Kind::Text, "WO.ShipTo", "Number of the customer served, trimmed."),
        column("open_date", Kind::Date, "WO.OpenDate", "Day it was opened."),
        column("completed_date", Kind::Date, "WO.CompletedDate", "Day the work was done."),
        column("closed_date", Kind::Date, "WO.ClosedDate", "Day it was closed, that is invoiced; null while open."),
        column(
            "deleted_date",
            Kind::Date,
            "WO.DeletionTime",
            "Day it was voided; null when it stands, or when the view has no such column.",
        ),
    ],
    meaning: "All work orders of a Softbase dealer as they stood when pulled: one row per work order.",
};

/// Rows have no key: a truck, its battery and its charger may share a unit number, and not every one has a serial.
pub(super) static EQUIPMENT: Dataset = Dataset {
    name: "softbase_equipment",
    connector: Connector::Softbase,
    grain: Grain::Snapshot,
    key: &[],
    may_be_empty: false,
    pages: false,
    columns: &[
        column("unit_no", Kind::Text, "Equipment.UnitNo", "Number of the unit, trimmed; several rows may share one."),
        column("serial_no", Kind::Text, "Equipment.SerialNo", "Serial number, trimmed."),
        column("make", Kind::Text, "Equipment.Make", "Who made it."),
        column("model", Kind::Text, "Equipment.Model", "Its model."),
        column(
            "inventory_dept",
            Kind::Int,
            "Equipment.InventoryDept",
            "Department whose stock it is; 60 is the rental fleet of most dealers.",
        ),
        column("rental_status", Kind::Text, "Equipment.RentalStatus", "Ready To Rent, Hold or nothing; never Rented."),
        column("is_customers", Kind::Bool, "Equipment.Customer", "Whether it belongs to a customer."),
        column(
            "deleted_date",
            Kind::Date,
            "Equipment.DeletionTime",
            "Day the row was deleted; null when it stands, or when the view has no such column.",
        ),
    ],
    meaning: "All equipment of a Softbase dealer as it stood when pulled, its customers' included: one row per machine or part.",
};

/// Rows have no key: a unit may stand twice on one order.
pub(super) static RENTAL_LINES: Dataset = Dataset {
    name: "softbase_rental_lines",
    connector: Connector::Softbase,
    grain: Grain::Snapshot,
    key: &[],
    // A dealer may rent nothing out; the audit holds a fleet without a single line.
    may_be_empty: true,
    pages: false,
    columns: &[
        column("work_order_no", Kind::Text, "WORental.WONo", "Number of the work order it stands on."),
        column("serial_no", Kind::Text, "WORental.SerialNo", "Serial number of the unit rented, trimmed."),
        column("unit_no", Kind::Text, "WORental.UnitNo", "Number of the unit rented, trimmed."),
        column(
            "deleted_date",
            Kind::Date,
            "WORental.DeletionTime",
            "Day the line was deleted; null when it stands, or when the view has no such column.",
        ),
    ],
    meaning: "All rental lines of a Softbase dealer's work orders as they stood when pulled: one row per unit and order.",
};

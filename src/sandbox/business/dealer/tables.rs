//! The dealer's tables as the ERP's views show them.

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};

use super::{Dealer, LineType};
use crate::sandbox::business::table::{Cell, Column, TableData};
use crate::sandbox::business::{Cents, decimal};

const fn column(name: &'static str, sql_type: &'static str) -> Column {
    Column { name, sql_type, nullable: true }
}

const fn required(name: &'static str, sql_type: &'static str) -> Column {
    Column { name, sql_type, nullable: false }
}

fn money(cents: Option<Cents>) -> Cell {
    cents.map(decimal).into()
}

fn midnight(date: NaiveDate) -> NaiveDateTime {
    date.and_time(NaiveTime::MIN)
}

impl Dealer {
    /// InvoiceReg. Some comments are not ASCII, as free text is. Totals are `money`, lines `decimal(18,2)`: a reader has to do with both.
    pub fn invoice_register(&self) -> TableData {
        const AMOUNTS: [[&str; 3]; 5] = [
            ["LaborTaxable", "LaborNonTax", "LaborCost"],
            ["PartsTaxable", "PartsNonTax", "PartsCost"],
            ["MiscTaxable", "MiscNonTax", "MiscCost"],
            ["EquipmentTaxable", "EquipmentNonTax", "EquipmentCost"],
            ["RentalTaxable", "RentalNonTax", "RentalCost"],
        ];
        let mut columns = vec![
            required("InvoiceNo", "int"),
            column("InvoiceDate", "datetime"),
            column("GrandTotal", "money"),
            column("TotalTax", "money"),
            column("BillTo", "char(10)"),
            column("ShipTo", "char(10)"),
            column("BillToName", "nvarchar(50)"),
            column("ShipToName", "nvarchar(50)"),
            column("SaleCode", "nvarchar(10)"),
            column("SaleBranch", "smallint"),
            column("SaleDept", "smallint"),
            column("DeletionTime", "datetime"),
            column("Customer", "bit"),
            column("ControlNo", "nvarchar(20)"),
            column("SerialNo", "nvarchar(30)"),
            column("WONo", "nvarchar(20)"),
            column("HourMeter", "decimal(18,2)"),
            column("ClosedDate", "datetime"),
            column("Comments", "nvarchar(max)"),
        ];
        columns.extend(AMOUNTS.into_iter().flatten().map(|name| column(name, "decimal(18,2)")));
        let rows = self.invoices.iter().map(|invoice| {
            let mut row: Vec<Cell> = vec![
                invoice.number.into(),
                invoice.date.into(),
                money(invoice.grand_total),
                money(invoice.total_tax),
                invoice.bill_to.as_str().into(),
                invoice.ship_to.as_str().into(),
                invoice.bill_to_name.into(),
                invoice.ship_to_name.into(),
                invoice.sale_code.into(),
                invoice.sale_branch.into(),
                invoice.sale_dept.into(),
                invoice.deleted.into(),
                (invoice.bill_to_name != "Internal").into(),
                Cell::Null,
                invoice.serial.as_deref().into(),
                Cell::Text(invoice.number.to_string()),
                money(invoice.serial.as_ref().map(|_| invoice.number % 10_000 * 137)),
                invoice.date.into(),
                if invoice.number % 7 == 0 { "Zustellung – rampa 3 ✓".into() } else { Cell::Null },
            ];
            for line in LineType::ALL.map(|line| line as usize) {
                row.extend([invoice.taxable[line], invoice.non_tax[line], invoice.cost[line]].map(money));
            }
            row
        });
        TableData { name: "InvoiceReg", rows: rows.collect(), columns }
    }

    /// WO.
    pub fn work_order_table(&self) -> TableData {
        let columns = vec![
            required("WONo", "nvarchar(20)"),
            column("Type", "char(2)"),
            column("OpenDate", "datetime"),
            column("CompletedDate", "datetime"),
            column("ClosedDate", "datetime"),
            column("InvoiceDate", "datetime"),
            column("DeletionTime", "datetime"),
            column("BillTo", "char(10)"),
            column("ShipTo", "char(10)"),
            column("ShipName", "nvarchar(50)"),
            column("SaleCode", "nvarchar(10)"),
            column("SaleBranch", "smallint"),
            column("SaleDept", "smallint"),
            column("UnitNo", "nvarchar(20)"),
            column("SerialNo", "nvarchar(30)"),
            column("Make", "nvarchar(20)"),
            column("Model", "nvarchar(20)"),
            column("RentalContractNo", "int"),
            column("ControlNo", "nvarchar(20)"),
            column("Technician", "nvarchar(20)"),
            column("Salesman", "nvarchar(20)"),
            column("Writer", "nvarchar(20)"),
            column("LaborRate", "money"),
            column("LaborDiscount", "smallint"),
            column("Comments", "nvarchar(max)"),
        ];
        let rows = self.work_orders.iter().map(|order| {
            vec![
                Cell::Text(order.number.to_string()),
                Cell::Text(format!("{:<2}", order.kind)),
                order.opened.into(),
                order.completed.into(),
                order.closed.into(),
                order.invoiced.into(),
                order.deleted.into(),
                order.bill_to.as_str().into(),
                order.ship_to.as_str().into(),
                order.ship_name.into(),
                order.sale_code.into(),
                order.sale_branch.into(),
                order.sale_dept.into(),
                order.unit.as_deref().into(),
                order.serial.as_deref().into(),
                order.unit.as_ref().map(|_| ["Linde", "Komatsu", "Crown"][order.number as usize % 3]).into(),
                order.unit.as_ref().map(|_| ["H25", "FG25", "RC55"][order.number as usize % 3]).into(),
                order.contract().into(),
                Cell::Null,
                Cell::Text(format!("T{:02}", order.number % 17)),
                Cell::Text(format!("S{:02}", order.number % 5)),
                Cell::Null,
                money(Some(18_900)),
                (order.number % 4 * 5).into(),
                Cell::Null,
            ]
        });
        TableData { name: "WO", rows: rows.collect(), columns }
    }

    /// Equipment. It has no key.
    pub fn equipment_table(&self) -> TableData {
        let columns = vec![
            column("UnitNo", "nvarchar(20)"),
            column("SerialNo", "char(20)"),
            column("Make", "nvarchar(20)"),
            column("Model", "nvarchar(30)"),
            column("RentalStatus", "nvarchar(20)"),
            column("InventoryDept", "int"),
            column("Customer", "bit"),
            column("CustomerNo", "char(10)"),
            column("DeletionTime", "datetime"),
        ];
        let rows = self.machines.iter().map(|machine| {
            vec![
                machine.unit_no.as_deref().into(),
                machine.serial.as_deref().into(),
                machine.make.into(),
                machine.model.into(),
                machine.status.into(),
                machine.dept.into(),
                machine.customers.into(),
                machine.customer_no.into(),
                machine.deleted.into(),
            ]
        });
        TableData { name: "Equipment", rows: rows.collect(), columns }
    }

    /// WORental. It has no key.
    pub fn rental_line_table(&self) -> TableData {
        let columns = vec![
            column("WONo", "nvarchar(20)"),
            column("SerialNo", "nvarchar(30)"),
            column("UnitNo", "char(20)"),
            column("DeletionTime", "datetime"),
        ];
        let rows = self.rental_lines.iter().map(|line| {
            vec![
                Cell::Text(line.work_order.to_string()),
                line.serial.as_deref().into(),
                line.unit_no.as_deref().into(),
                line.deleted.into(),
            ]
        });
        TableData { name: "WORental", rows: rows.collect(), columns }
    }

    /// RentalContract: one per rental order that is no quote.
    pub fn rental_contract_table(&self) -> TableData {
        let columns = vec![
            required("RentalContractNo", "int"),
            column("CustomerNo", "char(10)"),
            column("StartDate", "datetime"),
            column("EndDate", "datetime"),
            column("OpenEndedContract", "bit"),
            column("DeletionTime", "datetime"),
        ];
        let contracts = self.work_orders.iter().filter_map(|order| Some((order.contract()?, order)));
        let rows = contracts.map(|(number, order)| {
            vec![
                number.into(),
                order.bill_to.as_str().into(),
                order.opened.into(),
                order.closed.into(),
                order.closed.is_none().into(),
                order.deleted.into(),
            ]
        });
        TableData { name: "RentalContract", rows: rows.collect(), columns }
    }

    /// GL: monthly rows, and month 13.
    pub fn gl_table(&self) -> TableData {
        let columns = vec![
            required("AccountNo", "char(10)"),
            required("Year", "smallint"),
            required("Month", "smallint"),
            column("MTD", "money"),
            column("YTD", "money"),
            column("NumberOfTrans", "int"),
            column("LastEffectiveDate", "datetime"),
        ];
        let rows = self.gl().into_iter().map(|row| {
            vec![
                Cell::Text(format!("{:<10}", row.account)),
                i64::from(row.year).into(),
                i64::from(row.month).into(),
                decimal(row.mtd).into(),
                decimal(row.ytd).into(),
                row.transactions.into(),
                midnight(row.last_effective).into(),
            ]
        });
        TableData { name: "GL", rows: rows.collect(), columns }
    }

    /// GLDetail: one row per posting.
    pub fn gl_detail(&self) -> TableData {
        let columns = vec![
            required("AccountNo", "char(10)"),
            column("Amount", "money"),
            column("EffectiveDate", "datetime"),
            column("Posted", "bit"),
            column("Journal", "nvarchar(30)"),
            column("Reference", "nvarchar(20)"),
        ];
        let lines = self.ledger.entries().iter().flat_map(|entry| entry.lines.iter().map(move |line| (entry, line)));
        let rows = lines.map(|(entry, line)| {
            vec![
                Cell::Text(format!("{:<10}", line.account)),
                decimal(line.amount).into(),
                midnight(entry.date).into(),
                true.into(),
                entry.memo.into(),
                Cell::Text(entry.reference.to_string()),
            ]
        });
        TableData { name: "GLDetail", rows: rows.collect(), columns }
    }

    /// ChartOfAccounts.
    pub fn chart_of_accounts(&self) -> TableData {
        let columns =
            vec![required("AccountNo", "char(10)"), column("Description", "nvarchar(60)"), column("Type", "char(1)")];
        let accounts = self.options.chart.accounts();
        let rows = accounts.iter().map(|account| {
            vec![
                Cell::Text(format!("{:<10}", account.number)),
                account.description.into(),
                Cell::Text(account.kind.to_string()),
            ]
        });
        TableData { name: "ChartOfAccounts", rows: rows.collect(), columns }
    }

    /// All of them.
    pub fn tables(&self) -> Vec<TableData> {
        vec![
            self.invoice_register(),
            self.work_order_table(),
            self.equipment_table(),
            self.rental_line_table(),
            self.rental_contract_table(),
            self.gl_table(),
            self.gl_detail(),
            self.chart_of_accounts(),
        ]
    }
}

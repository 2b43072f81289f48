import type { ReactNode } from "react";

/** One column of a table. */
export interface Column<Row> {
  key: string;
  title: string;
  cell: (row: Row) => ReactNode;
  /** Figures stand at the end of their column. */
  isFigure?: boolean;
  /** On phones the cell stands first and without its title. */
  isLead?: boolean;
  /** On phones the cell stands beside the first, without its title. */
  isCorner?: boolean;
  /** On phones the cell takes a line of its own. */
  isWide?: boolean;
  /** On phones the cell is left out: what it says is one step away. */
  isMinor?: boolean;
  /** The title is for screen readers only. */
  isTitleHidden?: boolean;
  /** Holds controls of its own: pressing beside them does not open the row. */
  isAbove?: boolean;
}

interface DataTableProps<Row> {
  /** What the table lists, for screen readers. */
  caption: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  rowKey: (row: Row) => string | number;
  /** Rows open something: the lead cell must hold a `RowOpen`. */
  opens?: boolean;
}

/** A plain table that becomes a list of small cards on phones. */
export function DataTable<Row>({ caption, columns, rows, rowKey, opens = false }: DataTableProps<Row>) {
  return (
    <div className="table-scroll">
      <table className="table">
        <caption className="visually-hidden">{caption}</caption>
        <thead>
          <tr>
            {columns.map(column => (
              <th key={column.key} scope="col" className={column.isFigure ? "at-end" : undefined}>
                {column.isTitleHidden ? <span className="visually-hidden">{column.title}</span> : column.title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(row => (
            <tr key={rowKey(row)} className={opens ? "opens" : undefined}>
              {columns.map(column => (
                <td
                  key={column.key}
                  className={classNames(column)}
                  data-column={column.isTitleHidden ? undefined : column.title}
                >
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** The one control that opens a row; it reaches over the whole row. */
export function RowOpen({ onOpen, children }: { onOpen: () => void; children: ReactNode }) {
  return (
    <button type="button" className="plain-button row-open" onClick={onOpen}>
      {children}
    </button>
  );
}

function classNames<Row>(column: Column<Row>): string | undefined {
  const names = [
    column.isFigure && "at-end figures",
    column.isLead && "lead",
    column.isCorner && "corner",
    column.isWide && "wide",
    column.isMinor && "minor",
    column.isAbove && "above",
  ];
  return names.filter(Boolean).join(" ") || undefined;
}

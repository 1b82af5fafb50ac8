// tardis-dev's mapper of Binance's books and its order book: a message a line in, its best bid and ask a line out.
const { createInterface } = require('readline')
const { createRequire } = require('module')
const { join } = require('path')

const dist = join(process.argv[2], 'node_modules', 'tardis-dev', 'dist')
const load = createRequire(join(dist, 'index.js'))
const { BinanceBookChangeMapper } = load('./mappers/binance.js')
const { OrderBook } = load('./orderbook.js')

const mapper = new BinanceBookChangeMapper('binance', false)
const book = new OrderBook({ removeCrossedLevels: true, onCrossedLevelRemoved: () => crossed++ })
let crossed = 0

createInterface({ input: process.stdin }).on('line', (line) => {
  for (const change of mapper.map(JSON.parse(line), new Date())) if (change !== undefined) book.update(change)
  const [bid, ask] = [book.bestBid(), book.bestAsk()]
  console.log(JSON.stringify([bid && ask ? [bid.price, ask.price] : null, crossed]))
})

---@meta
-- Written by `python -m tests.mirror` from server/lsp/protocol.py and server/config.py.

--- A question in words, code or an identifier.
---@class sextant.SearchParams
---@field query string
---@field limit? integer
---@field languages? string[]
---@field kinds? lsp.SymbolKind[]
---@field include? string[]
---@field exclude? string[]
---@field scope? string
---@field explain? boolean
---@field complete? boolean
---@field workDoneToken? integer|string
---@field partialResultToken? integer|string

--- A question by example: a place in a document, or a text.
---@class sextant.FindSimilarParams
---@field textDocument? lsp.TextDocumentIdentifier
---@field range? lsp.Range
---@field text? string
---@field languageId? string
---@field limit? integer
---@field languages? string[]
---@field include? string[]
---@field exclude? string[]
---@field scope? string
---@field explain? boolean
---@field workDoneToken? integer|string
---@field partialResultToken? integer|string

--- What to index again, and where to compute it.
---@class sextant.ReindexParams
---@field folder? string
---@field scope? "changed"|"all"
---@field on? string

--- The answer to sextant/reindex and sextant/tune: the job has begun.
---@class sextant.ReindexResult
---@field jobId string

--- Which folder's model to train, and where.
---@class sextant.TuneParams
---@field folder? string
---@field on? string

--- How a job ended.
---@class sextant.JobFinished
---@field jobId string
---@field kind "reindex"|"tune"
---@field ok boolean
---@field message string
---@field before? number
---@field after? number
---@field accepted? boolean

--- Whether the server is well, and whether it is at rest.
---@class sextant.ServerStatusParams
---@field health "ok"|"warning"|"error"
---@field quiescent boolean
---@field message? string
---@field summary? string

--- A word of the question, what it brought to a hit, and where it stands there.
---@class sextant.Term
---@field term string
---@field weight number
---@field range? lsp.Range
---@field dense? number
---@field lexical? number

--- What speaks for a hit.
---@class sextant.Why
---@field dense number
---@field lexical number
---@field terms sextant.Term[]

--- One answer.
---@class sextant.Hit
---@field location lsp.Location
---@field targetRange lsp.Range
---@field name string
---@field kind lsp.SymbolKind
---@field languageId string
---@field score number
---@field containerName? string
---@field signature? string
---@field detail? string
---@field similarity? number
---@field why? sextant.Why
---@field copies? integer

--- What a query that ends in an unfinished filter may become.
---@class sextant.Completion
---@field label string
---@field query string
---@field detail? string

--- The answer to sextant/search and sextant/findSimilar.
---@class sextant.SearchResult
---@field hits sextant.Hit[]
---@field isIncomplete boolean
---@field generation integer
---@field lowConfidence boolean
---@field origin? sextant.Hit
---@field notices? string[]
---@field completions? sextant.Completion[]

--- What is known of one workspace folder.
---@class sextant.FolderStatus
---@field uri string
---@field state "opening"|"indexing"|"ready"|"degraded"
---@field files integer
---@field units integer
---@field pendingFiles integer
---@field skippedFiles integer
---@field languages table<string, integer>
---@field message? string
---@field encodedUnits? integer
---@field summary? string

--- The answer to sextant/indexStatus.
---@class sextant.IndexStatus
---@field protocolVersion 1
---@field folders sextant.FolderStatus[]
---@field generation integer
---@field encoder string
---@field backend string
---@field residentBytes integer

--- What a user can set, as `settings.sextant`.
---@class sextant.Settings
---@field exclude? string[] Further files and folders that are not indexed, as patterns in `.gitignore` syntax.
---@field maxFileBytes? integer Larger files are skipped. Editors themselves stop highlighting near this size.
---@field workers? integer Processes that parse in parallel during a first index; 0 chooses by the number of processors, at most 4.
---@field keepDays? integer Days after which the index of a folder that nobody opened, and vectors that nobody used, are deleted.
---@field maxCacheMegabytes? integer Megabytes that all indexes may take together; beyond it those that were not opened for longest are deleted.
---@field memoryMegabytes? integer Megabytes that the processes of a first index may take together. A file that needs more is left out.
---@field duplicates? boolean Show a hint at a function that nearly equals another one of the workspace (“You already wrote this”).
---@field encoder? string What gives code its meaning: `base`, or `sentence-transformers:FOLDER` (or the name of a model that was downloaded), which needs `pip install 'sextant-ls[transformers]'`. The base encoder answers until all vectors of another one are there.
---@field stripCommentsAndStrings? boolean Leave comments and strings out of what the encoder is given, and so out of what a cluster gets.
---@field clusterAddress? string A Ray cluster that may be used for large jobs: `host:port` or `ray://host:port`. Without one, nothing leaves this machine.
---@field clusterTokenFile? string The file with the authentication token of that cluster, readable by you alone.
---@field clusterProcessors? integer How many tasks run on a cluster at once; 0 takes all of its processors.

# The HTTP edges: ingest, origin pull, playback. ffmpeg and ffprobe are their counterparts.
tayga_library(tayga_edge_bench
  SOURCES "${CMAKE_CURRENT_LIST_DIR}/edge_bench.cpp"
  LINK tayga_http tayga_async)

tayga_test(ingest_http_test integration
  SOURCES "${CMAKE_CURRENT_LIST_DIR}/ingest_http_test.cpp"
  LINK tayga_ingest tayga_edge_bench)

tayga_test(origin_pull_test integration
  SOURCES "${CMAKE_CURRENT_LIST_DIR}/origin_pull_test.cpp"
  LINK tayga_ingest tayga_edge_bench)

tayga_test(playback_http_test integration
  SOURCES "${CMAKE_CURRENT_LIST_DIR}/playback_http_test.cpp"
  LINK tayga_ingest tayga_playback tayga_edge_bench)

tayga_test(origin_rescue_test integration
  SOURCES "${CMAKE_CURRENT_LIST_DIR}/origin_rescue_test.cpp"
  LINK tayga_rescue tayga_edge_bench)

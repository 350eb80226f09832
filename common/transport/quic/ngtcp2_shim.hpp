#pragma once

#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>

#include <cstddef>
#include <cstdint>

/// One spelling of what ngtcp2 0.12 (Debian 12) and 1.x (Debian 13) name or shape differently.
/// Error numbers differ between them too: never store one.
namespace tayga::transport::quic::shim {

#if NGTCP2_VERSION_NUM >= 0x010000
using CloseError = ngtcp2_ccerr;
using ConnInfo = ngtcp2_conn_info;

inline void close_error_default(CloseError& e) {
  ngtcp2_ccerr_default(&e);
}
inline void close_error_library(CloseError& e, int code) {
  ngtcp2_ccerr_set_liberr(&e, code, nullptr, 0);
}
inline void close_error_alert(CloseError& e, std::uint8_t alert) {
  ngtcp2_ccerr_set_tls_alert(&e, alert, nullptr, 0);
}
inline void close_error_application(CloseError& e, std::uint64_t code, const std::uint8_t* reason,
                                    std::size_t size) {
  ngtcp2_ccerr_set_application_error(&e, code, reason, size);
}
inline CloseError received_close(ngtcp2_conn* conn) {
  return *ngtcp2_conn_get_ccerr(conn);
}
inline bool is_idle_close(const CloseError& e) {
  return e.type == NGTCP2_CCERR_TYPE_IDLE_CLOSE;
}
inline bool is_application_close(const CloseError& e) {
  return e.type == NGTCP2_CCERR_TYPE_APPLICATION;
}
inline void get_info(ngtcp2_conn* conn, ConnInfo& info) {
  ngtcp2_conn_get_conn_info(conn, &info);
}
inline void set_original_dcid(ngtcp2_transport_params& params, const ngtcp2_cid& cid) {
  params.original_dcid = cid;
  params.original_dcid_present = 1;
}
inline void set_token(ngtcp2_settings& settings, const std::uint8_t* token, std::size_t size) {
  settings.token = token;
  settings.tokenlen = size;
  settings.token_type = NGTCP2_TOKEN_TYPE_RETRY;
}
inline void set_token(ngtcp2_pkt_hd& header, const std::uint8_t* token, std::size_t size) {
  header.token = token;
  header.tokenlen = size;
}
inline const std::uint8_t* token_of(const ngtcp2_pkt_hd& header, std::size_t& size) {
  size = header.tokenlen;
  return header.token;
}
#else
using CloseError = ngtcp2_connection_close_error;
using ConnInfo = ngtcp2_conn_stat;

inline void close_error_default(CloseError& e) {
  ngtcp2_connection_close_error_default(&e);
}
inline void close_error_library(CloseError& e, int code) {
  ngtcp2_connection_close_error_set_transport_error_liberr(&e, code, nullptr, 0);
}
inline void close_error_alert(CloseError& e, std::uint8_t alert) {
  ngtcp2_connection_close_error_set_transport_error_tls_alert(&e, alert, nullptr, 0);
}
inline void close_error_application(CloseError& e, std::uint64_t code, const std::uint8_t* reason,
                                    std::size_t size) {
  ngtcp2_connection_close_error_set_application_error(&e, code, reason, size);
}
inline CloseError received_close(ngtcp2_conn* conn) {
  CloseError e{};
  ngtcp2_conn_get_connection_close_error(conn, &e);
  return e;
}
inline bool is_idle_close(const CloseError& e) {
  return e.type == NGTCP2_CONNECTION_CLOSE_ERROR_CODE_TYPE_TRANSPORT_IDLE_CLOSE;
}
inline bool is_application_close(const CloseError& e) {
  return e.type == NGTCP2_CONNECTION_CLOSE_ERROR_CODE_TYPE_APPLICATION;
}
inline void get_info(ngtcp2_conn* conn, ConnInfo& info) {
  ngtcp2_conn_get_conn_stat(conn, &info);
}
inline void set_original_dcid(ngtcp2_transport_params& params, const ngtcp2_cid& cid) {
  params.original_dcid = cid;
}
inline void set_token(ngtcp2_settings& settings, const std::uint8_t* token, std::size_t size) {
  settings.token = ngtcp2_vec{const_cast<std::uint8_t*>(token), size};
}
inline void set_token(ngtcp2_pkt_hd& header, const std::uint8_t* token, std::size_t size) {
  header.token = ngtcp2_vec{const_cast<std::uint8_t*>(token), size};
}
inline const std::uint8_t* token_of(const ngtcp2_pkt_hd& header, std::size_t& size) {
  size = header.token.len;
  return header.token.base;
}
#endif

}  // namespace tayga::transport::quic::shim
